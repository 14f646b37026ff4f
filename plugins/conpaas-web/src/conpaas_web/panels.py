"""The panels of every service that hosts a web application: where it is, how it is served."""

from __future__ import annotations

from dataclasses import asdict

from conpaas.errors import WrongStateError
from conpaas.frontend.forms import Form
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel

#: Settings that are longer than so many characters are shown on several lines.
ONE_LINE = 60


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


def settings_form(service: ServiceView, change: str, show: str) -> Form:
    """Return the form that changes settings, filled with the present ones.

    Args:
        service: Whose.
        change: The operation that changes them; its arguments are named as the settings.
        show: The operation that tells them: a dataclass.
    """
    present = asdict(getattr(service.manager, show)())
    form = service.form(change, values=present, mark=change.replace("_", "-"), submit="Save")
    for derived in form.derived:
        rules = [check.says for check in derived.parameter.hint.checks]
        for one in derived.fields:
            one.help = _told(one.help.replace("''", "empty"), rules)
            if one.kind == "long" and len(one.value) <= ONE_LINE:
                one.kind = "text"
    return form


def _told(help: str, rules: list[str]) -> str:
    return f"{help} ({'; '.join(rules)})" if rules else help
