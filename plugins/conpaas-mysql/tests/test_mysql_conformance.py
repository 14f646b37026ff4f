"""What every service type must do."""

from __future__ import annotations

import pytest

from conpaas.testing import ServiceConformance

# tests/test_installed_plugins.py runs the same every day.
pytestmark = pytest.mark.long


class TestConformance(ServiceConformance):
    """The MySQL service does it, with real MariaDB and Galera."""

    name = "mysql"
