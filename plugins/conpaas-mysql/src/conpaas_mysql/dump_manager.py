"""The user's password, dumps, and loading them."""

from __future__ import annotations

from conpaas_mysql.cluster_manager import ClusterManager


class DumpManager(ClusterManager):
    """Offers ``set_password``, ``dump`` and ``load_dump``."""
