"""The panel of code versions: what there is, which is active, and the form for another."""

from __future__ import annotations

from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that takes code; nothing for others."""
    if not service.has("upload_code") or not service.is_reachable:
        return []
    upload = service.form("upload_code", mark="upload", title="Upload code", submit="Upload")
    labels = {"filename": "Archive", "strip": "Strip: leave out the single top directory"}
    for one in upload.fields:
        if one.name in labels:
            one.label, one.help = labels[one.name], ""
    limits = service.manager.get_code_limits()
    return [
        Panel(
            title="Code",
            template="code/versions.html",
            values={
                "versions": service.manager.list_codes(),
                "upload": upload,
                "limits": limits,
                "enabling": service.form("enable_code").action,
                "may_enable": service.allows("enable_code"),
                "may_delete": service.allows("delete_code"),
            },
            operations=(
                "upload_code", "list_codes", "enable_code", "download_code", "delete_code",
            ),
            order=10,
        )
    ]  # fmt: skip
