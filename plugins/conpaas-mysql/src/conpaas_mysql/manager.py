"""The part of the MySQL service that runs on the application's manager."""

from __future__ import annotations

from conpaas_mysql.dump_manager import DumpManager
from conpaas_mysql.performance_manager import PerformanceManager


class MysqlManager(DumpManager, PerformanceManager):
    """Directs a Galera cluster and its balancers."""
