"""A machine with one agent and no manager: for tests of what an agent does with real programs."""

from __future__ import annotations

import logging
from collections import UserDict
from pathlib import Path
from typing import Any, Generic, TypeVar

from conpaas.agent.base import AgentPlace, ServiceAgent
from conpaas.supervisor.process import ProcessSupervisor

A = TypeVar("A", bound=ServiceAgent)


class LoneNode(Generic[A]):
    """A machine whose agent may be killed: what stays is a root, a store, and what runs.

    Args:
        root: Its directory, in the place of ``/``.
        agent: Which agent it has.
        role: Of the node.
        address: Of the machine.
        pause: Seconds until a program that ended is started again.
    """

    def __init__(
        self, root: Path, agent: type[A], role: str, address: str, pause: float = 0.05
    ) -> None:
        self.root = root
        self.role = role
        self.address = address
        self.store: UserDict[str, Any] = UserDict()
        self.supervisor = ProcessSupervisor(root / "var/log/conpaas", pause=pause)
        self._class = agent
        self.agent = self.start_agent()

    def start_agent(self) -> A:
        """Start the agent (again): nothing of the one before is left but what it stored."""
        self.agent = self._class(
            AgentPlace(
                node=f"node-{self.address}",
                role=self.role,
                address=self.address,
                application=1,
                service=1,
                root=self.root,
                supervisor=self.supervisor,
                store=self.store,
                log=logging.getLogger("test"),
            )
        )
        return self.agent

    def figure(self, name: str, **labels: str) -> float | None:
        """Return what the agent measures, None when it does not."""
        for family in self.agent.collect():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def close(self) -> None:
        """End what runs."""
        self.supervisor.shutdown()
