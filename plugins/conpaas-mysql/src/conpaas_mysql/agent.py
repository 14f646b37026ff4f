"""The part of the MySQL service that runs on each node."""

from __future__ import annotations

from conpaas_mysql.balancer_agent import BalancerAgent
from conpaas_mysql.dump_agent import DumpAgent


class MysqlAgent(DumpAgent, BalancerAgent):
    """Runs a database (role ``mysql``), or balances connections (role ``glb``)."""
