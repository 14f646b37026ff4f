"""What every service type must do."""

from __future__ import annotations

from conpaas.testing import ServiceConformance


class TestConformance(ServiceConformance):
    """The MySQL service does it, with real MariaDB and Galera."""

    name = "mysql"
