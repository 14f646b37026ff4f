"""The panel that says how to push code, and whose keys may."""

from __future__ import annotations

from conpaas.errors import ConPaaSError
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel
from conpaas.transport import fan_out


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that takes code; nothing for others."""
    if not service.has("get_repository") or not service.is_reachable:
        return []
    manager = service.manager
    repository, keys = fan_out([manager.get_repository, manager.list_keys])
    for answer in (repository, keys):
        if isinstance(answer, ConPaaSError):
            raise answer
    upload = service.form("upload_key", mark="key", submit="Add keys")
    for one in upload.fields:
        one.label = "Key file"
    return [
        Panel(
            title="Push with git",
            template="git/repository.html",
            values={"repository": repository, "keys": keys, "upload": upload},
            operations=("get_repository", "upload_key", "list_keys", "remove_key"),
            order=20,
        )
    ]
