"""Every installed plugin passes the conformance kit, whether or not its author inherits it."""

from __future__ import annotations

import pytest

from conpaas.plugins import Plugins
from conpaas.testing import ServiceConformance


# Those of this tree run the kit beside their other tests, every day.
@pytest.mark.long
class TestInstalled(ServiceConformance):
    @pytest.fixture(params=sorted(Plugins.installed().services), autouse=True)
    def every_service(self, request: pytest.FixtureRequest) -> None:
        """Run the tests of the kit for each service type."""
        self.name = request.param


def test_no_installed_plugin_is_broken() -> None:
    assert Plugins.installed().broken == []
