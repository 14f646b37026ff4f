"""The panels of every service that hosts a web application: where it is, how it is served."""

from __future__ import annotations

from conpaas.errors import WrongStateError
from conpaas.frontend.service_view import ServiceView
from conpaas.frontend.settings import settings_form
from conpaas.service import Panel


def panels(service: ServiceView) -> list[Panel]:
    """Return the panels of a service that hosts a web application; nothing for others."""
    if not service.is_reachable or not service.has("set_web_config"):
        return []
    return [_access(service), _serving(service)]


def _access(service: ServiceView) -> Panel:
    try:
        address = service.manager.get_address()
    except WrongStateError:
        address = None
    return Panel(
        title="Access",
        template="web/access.html",
        values={"address": address},
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
