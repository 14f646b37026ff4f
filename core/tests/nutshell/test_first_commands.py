"""What a new nutshell tells its user to type."""

from __future__ import annotations

from conpaas.nutshell.first_commands import first_commands
from conpaas.plugins import Plugins


def test_the_plainest_installed_service_type_is_suggested() -> None:
    assert first_commands(Plugins.installed(only=["generic", "helloworld"]))[-3:] == [
        "cps-tools service add helloworld 1",
        "cps-tools service start 1 1",
        "cps-tools helloworld get_helloworld 1 1",
    ]


def test_without_service_types_there_is_an_application_to_start() -> None:
    assert first_commands(Plugins()) == [
        'cps-tools application create "First app"',
        "cps-tools application start 1",
    ]
