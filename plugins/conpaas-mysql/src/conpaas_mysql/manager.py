"""The part of the MySQL service that runs on the application's manager."""

from __future__ import annotations

from conpaas_mysql.backup_manager import DatabaseBackupManager
from conpaas_mysql.performance_manager import PerformanceManager


class MysqlManager(DatabaseBackupManager, PerformanceManager):
    """Directs a Galera cluster and its balancers."""
