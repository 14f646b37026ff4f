"""Keeps one service's agent: its records, its jobs and the calls that it answers."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conpaas.agent.base import AgentPlace, AgentStatus, ServiceAgent
from conpaas.agent.config import AgentSection
from conpaas.agent.mounts import Mounts, SystemMounts
from conpaas.jobs import JobRunner
from conpaas.plugins import Plugins
from conpaas.reception import Room
from conpaas.records import Records, Store
from conpaas.rpc import JobState, Operation, find_operation
from conpaas.supervisor.base import BaseSupervisor

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class AgentHost:
    """The agent of this machine, ready to be served.

    Args:
        section: Who the agent is.
        plugins: Where its service type is found.
        root: ``/``, or where everything that the agent writes goes instead.
        supervisor: Of this machine.
        records: What the agent must not forget.
        mounts: The machine's file systems; default: the real ones.
    """

    name = "agent"

    def __init__(
        self,
        section: AgentSection,
        plugins: Plugins,
        root: Path,
        supervisor: BaseSupervisor,
        records: Records,
        mounts: Mounts | None = None,
    ) -> None:
        place = AgentPlace(
            node=section.node,
            role=section.role,
            address=section.address,
            application=section.application,
            service=section.service,
            root=root,
            supervisor=supervisor,
            store=Store(records, "agent"),
            log=logging.getLogger(f"conpaas.{section.service_type}"),
            mounts=mounts or SystemMounts(),
        )
        self.runner = JobRunner(records)
        self.agent: ServiceAgent = plugins.service(section.service_type).agent_class(place)
        self.status = AgentStatus(
            section.node, importlib.metadata.version("conpaas-core"), time.time()
        )
        self._plugins = plugins
        self._told = ""  # the last complaint about collect(): once is enough

    def start(self) -> None:
        """Take up where the agent left off."""
        self._plugins.tell("conpaas_agent_started", agent=self.agent)
        self.agent.on_boot()
        self.runner.recover(lambda name: self)

    def collect(self) -> Iterator[Metric]:
        """Measure: return what the agent collects, as far as it comes."""
        try:
            yield from self.agent.collect()
            self._told = ""
        except Exception as error:
            # Plugins' code: what it has measured before counts all the same.
            if self._told != (told := f"{type(error).__name__}: {error}"):
                self.agent.log.warning("measuring failed: %s", told, exc_info=error)
                self._told = told

    # -- what jobs change ---------------------------------------------------------------------

    @property
    def room(self) -> Room:
        """Where the files lie that jobs work on; how long they may be, the manager knows."""
        return Room(self.agent.root / "var/cache/cpsagent", sys.maxsize)

    def declared(self, operation: str) -> Operation:
        """Return the declaration of an operation of the agent."""
        return find_operation(type(self.agent), operation)

    def make(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        """Call the agent's method."""
        return getattr(self.agent, operation.name)(**arguments)

    def permit(self, operation: Operation) -> None:
        """Permit everything: an agent has no states."""

    def begin(self, operation: Operation) -> str | None:
        """Enter no state."""
        return None

    def end(self, operation: Operation, before: str | None, state: JobState, reason: str) -> None:
        """Leave no state."""
