"""The part of the MySQL service that runs on each node."""

from __future__ import annotations

from conpaas_mysql.backup_agent import DatabaseBackupAgent
from conpaas_mysql.balancer_agent import BalancerAgent


class MysqlAgent(DatabaseBackupAgent, BalancerAgent):
    """Runs a database (role ``mysql``), or balances connections (role ``glb``)."""
