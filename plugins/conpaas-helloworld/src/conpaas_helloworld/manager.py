"""The part of the helloworld service that runs on the application's manager."""

from __future__ import annotations

from typing import Annotated

from conpaas.manager.base import Node, ServiceManager
from conpaas.rpc import expose
from conpaas.state import State
from conpaas_helloworld.agent import Greeting, HelloWorldAgent


class HelloWorldManager(ServiceManager[HelloWorldAgent]):
    """Collects the greetings of the nodes."""

    def on_start(self, nodes: list[Node]) -> None:
        """Do nothing but say so: an agent greets as soon as it runs."""
        self.log.info("ready to greet: %s", ", ".join(node.id for node in nodes))

    @expose(reads=True, states=(State.RUNNING,))
    def get_helloworld(self, name: Annotated[str, "Whom to greet"] = "world") -> list[Greeting]:
        """Collect the greetings of all nodes."""
        return self.ask_all(lambda agent: agent.greet(name=name))
