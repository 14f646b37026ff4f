"""The panel of PHP: its settings, and the switch that shows errors to visitors."""

from __future__ import annotations

from conpaas.frontend.service_view import ServiceView
from conpaas.frontend.settings import settings_form
from conpaas.service import Panel


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a PHP service."""
    if service.info.type != "php" or not service.is_reachable:
        return []
    settings = settings_form(service, "set_php_config", "get_php_config")
    for one in settings.fields:
        # As php.ini and its manual call them; an option cannot have a dot.
        one.label = one.name.replace("date_timezone", "date.timezone")
        help = one.help.removeprefix(f"{one.label}: ")
        one.help = help[:1].upper() + help[1:]
    shown = next((one for one in settings.fields if one.name == "display_errors"), None)
    # The switch above the form sets that one.
    settings.derived = tuple(
        one for one in settings.derived if one.parameter.name != "display_errors"
    )
    debugging = shown is not None and shown.value.lower() in ("on", "yes")
    switch = service.form("debug", mark="debug").fields[0]
    return [
        Panel(
            title="PHP",
            template="php/settings.html",
            values={
                "settings": settings,
                "debugging": debugging,
                "switch": switch.name,
                "allowed": service.allows("set_php_config"),
            },
            operations=("get_php_config", "set_php_config", "debug"),
            order=24,
        )
    ]
