"""The part of the MySQL service that runs on the application's manager."""

from __future__ import annotations

from conpaas_mysql.dump_manager import DumpManager


class MysqlManager(DumpManager):
    """Directs a Galera cluster and its balancers."""
