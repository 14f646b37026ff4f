"""The panel of the startup script: what it is, and the form for another."""

from __future__ import annotations

from conpaas.errors import NotFoundError
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that can be asked."""
    if not service.has("set_script") or not service.is_reachable:
        return []
    try:
        script = service.manager.get_script()
    except NotFoundError:
        script = ""
    upload = service.form("set_script", mark="script", submit="Replace it" if script else "Upload")
    for one in upload.fields:
        one.label = "Script"
    return [
        Panel(
            title="Startup script",
            template="startup-script/script.html",
            values={
                "script": script,
                "upload": upload,
                "may_set": service.allows("set_script"),
                "may_remove": bool(script) and service.allows("unset_script"),
            },
            operations=("set_script", "get_script", "unset_script"),
            order=40,
        )
    ]
