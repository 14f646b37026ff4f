"""The helloworld service: every node greets from its own machine."""

from __future__ import annotations

from conpaas import hookimpl
from conpaas.service import Role, Service


@hookimpl
def conpaas_service() -> Service:
    """Return the helloworld service type."""
    return Service(
        name="helloworld",
        title="Hello world",
        summary="Every node greets: the smallest service, the one to copy.",
        manager="conpaas_helloworld.manager:HelloWorldManager",
        agent="conpaas_helloworld.agent:HelloWorldAgent",
        roles=(Role("node", "Greets", replace_lost=True),),
    )
