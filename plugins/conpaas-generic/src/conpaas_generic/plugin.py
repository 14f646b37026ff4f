"""The generic service: runs any program, by five scripts of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.service import Image, Panel, Role, Service

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show the scripts, and the buttons that run them."""
    from conpaas_generic.panels import panels

    return panels(service)


@hookimpl
def conpaas_service() -> Service:
    """Return the generic service type."""
    return Service(
        name="generic",
        title="Generic",
        summary="Runs any program on as many machines as you like, by five scripts of yours.",
        manager="conpaas_generic.manager:GenericManager",
        agent="conpaas_generic.agent:GenericAgent",
        roles=(
            Role("node", "Runs the scripts", replace_lost=True),
            Role("master", "Runs the scripts; the one that all the others know", fixed=True),
        ),
        # What scripts fetch and unpack their programs with.
        image=Image(packages=("bzip2", "ca-certificates", "curl", "unzip", "wget", "xz-utils")),
    )
