"""The helloworld service: every node greets from its own machine."""

from __future__ import annotations

from conpaas import hookimpl
from conpaas.service import Role, Service
from conpaas_helloworld.agent import HelloWorldAgent
from conpaas_helloworld.manager import HelloWorldManager


@hookimpl
def conpaas_service() -> Service:
    """Return the helloworld service type."""
    return Service(
        name="helloworld",
        title="Hello world",
        summary="Every node greets: the smallest service, the one to copy.",
        manager=HelloWorldManager,
        agent=HelloWorldAgent,
        roles=(Role("node", "Greets", replace_lost=True),),
    )
