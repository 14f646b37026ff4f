"""The part of the helloworld service that runs on each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from conpaas.agent.base import ServiceAgent
from conpaas.rpc import expose


@dataclass(frozen=True)
class Greeting:
    """What a node says, and which node says it."""

    agent_id: str
    ip: str
    greeting: str


class HelloWorldAgent(ServiceAgent):
    """Greets from its machine."""

    @expose(reads=True)
    def greet(self, name: Annotated[str, "Whom to greet"] = "world") -> Greeting:
        """Return a greeting."""
        return Greeting(self.place.node, self.place.address, f"Hello, {name}!")
