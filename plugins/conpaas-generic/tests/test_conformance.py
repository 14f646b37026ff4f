"""What every service type must do."""

from __future__ import annotations

from conpaas.testing import ServiceConformance


class TestConformance(ServiceConformance):
    """The generic service does it."""

    name = "generic"
