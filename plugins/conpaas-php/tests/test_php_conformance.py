"""What every service type must do."""

from __future__ import annotations

from conpaas.testing import ServiceConformance


class TestConformance(ServiceConformance):
    """The PHP service does it, with real nginx, PHP and redis."""

    name = "php"
