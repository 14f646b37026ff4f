"""The panel of environment variables: what there is, and the form for another."""

from __future__ import annotations

from conpaas.features.environment.manager import SECRET, YOURS
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel

OPERATIONS = ("set_env", "unset_env", "list_env")


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that has variables; nothing for others."""
    if not service.has("set_env") or not service.is_reachable:
        return []
    add = service.form("set_env", mark="variable", submit="Set it")
    for one in add.fields:
        if one.name == "value":
            # It may have several lines; shown again it never is.
            one.kind, one.help, one.required = "long", "", True
        elif one.name == "secret":
            one.label = "Secret"
    return [
        Panel(
            title="Environment",
            template="environment/variables.html",
            values={
                "variables": service.manager.list_env(),
                "yours": YOURS,
                "secret": SECRET,
                "add": add,
                "may_set": service.allows("set_env"),
                "may_unset": service.allows("unset_env"),
            },
            operations=OPERATIONS,
            order=20,
        )
    ]
