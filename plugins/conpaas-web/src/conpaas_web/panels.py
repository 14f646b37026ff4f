"""The panels of every service that hosts a web application: where it is, how it is served."""

from __future__ import annotations

from dataclasses import asdict

from conpaas.frontend.forms import Form
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel
from conpaas.state import State

#: States in which there are proxies, so that there is an address.
SERVING = (State.RUNNING, State.ADAPTING, State.ERROR)


def panels(service: ServiceView) -> list[Panel]:
    """Return the panels of a service that hosts a web application; nothing for others."""
    if not service.is_reachable:
        return []
    found = []
    if service.has("get_address"):
        found.append(_access(service))
    if service.has("set_web_config"):
        found.append(_serving(service))
    return found


def _access(service: ServiceView) -> Panel:
    serving = service.state in SERVING and service.allows("get_address") and service.nodes
    return Panel(
        title="Access",
        template="web/access.html",
        values={"address": service.manager.get_address() if serving else None},
        operations=("get_address",),
        live=True,
        order=-20,
    )


def _serving(service: ServiceView) -> Panel:
    return Panel(
        title="Serving",
        template="web/serving.html",
        values={
            "settings": settings_form(service, "set_web_config", "get_web_config"),
            "allowed": service.allows("set_web_config"),
        },
        operations=("get_web_config", "set_web_config"),
        order=26,
    )


def settings_form(service: ServiceView, change: str, show: str) -> Form:
    """Return the form that changes settings, filled with the present ones.

    Args:
        service: Whose.
        change: The operation that changes them; its arguments are named as the settings.
        show: The operation that tells them: a dataclass.
    """
    present = asdict(getattr(service.manager, show)())
    return service.form(change, values=present, mark=change.replace("_", "-"), submit="Save")
