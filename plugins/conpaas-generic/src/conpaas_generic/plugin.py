"""The generic service: runs any program, by five scripts of the user."""

from __future__ import annotations

from conpaas import hookimpl
from conpaas.service import Image, Role, Service
from conpaas_generic.agent import GenericAgent
from conpaas_generic.manager import GenericManager


@hookimpl
def conpaas_service() -> Service:
    """Return the generic service type."""
    return Service(
        name="generic",
        title="Generic",
        summary="Runs any program on as many machines as you like, by five scripts of yours.",
        manager=GenericManager,
        agent=GenericAgent,
        roles=(
            Role("node", "Runs the scripts", replace_lost=True),
            Role("master", "Runs the scripts; the one that all the others know", fixed=True),
        ),
        # What scripts fetch and unpack their programs with.
        image=Image(packages=("bzip2", "ca-certificates", "curl", "unzip", "wget", "xz-utils")),
    )
