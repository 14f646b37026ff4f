"""The hooks by which git comes to every manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.manager.place import ApplicationPlace
    from conpaas.service import Image, Panel


@hookimpl
def conpaas_manager_started(manager: ApplicationPlace) -> None:
    """Serve the application's repository, where the manager has a machine of its own."""
    from conpaas.features.git.host_key import ensure_host_key
    from conpaas.features.git.server import GitServer

    ensure_host_key(manager)
    if manager.machine is not None:
        GitServer.on(manager.machine, manager).start()


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show how to push code, and whose keys may."""
    from conpaas.features.git.frontend import panels

    return panels(service)


@hookimpl
def conpaas_image(image: Image) -> Image:
    """Return git and sshd, with the user whom people push as."""
    from conpaas.features.git import sshd

    return type(image)(packages=sshd.PACKAGES, script=sshd.IMAGE_SCRIPT)
