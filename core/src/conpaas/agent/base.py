"""The base class of the part of a service that runs on each node."""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from conpaas.agent.mounts import Mounts, SystemMounts
from conpaas.agent.startup import Startup, StartupStatus
from conpaas.errors import InvalidError
from conpaas.logs import After, Lines, follow, tail
from conpaas.nearest import did_you_mean
from conpaas.rpc import Piece, Upload, expose
from conpaas.supervisor.base import BaseSupervisor

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from conpaas.features.monitoring.machine import Meter


@dataclass(frozen=True)
class AgentPlace:
    """Where an agent runs: what it is given when it is made.

    Args:
        node: The node's id, as users type it.
        role: The node's role.
        address: Of this machine.
        application: The application's id.
        service: The service's number in its application.
        root: ``/`` on a machine; a directory of its own where tests run many agents on one.
        supervisor: Keeps the software that the agent starts alive; it outlives the agent.
        store: A persisted dictionary of JSON values.
        log: Goes to the file that users see as ``agent.log``.
        mounts: The machine's file systems.
    """

    node: str
    role: str
    address: str
    application: int
    service: int
    root: Path
    supervisor: BaseSupervisor
    store: MutableMapping[str, Any]
    log: logging.Logger
    mounts: Mounts = field(default_factory=SystemMounts)


@dataclass(frozen=True)
class LogFile:
    """A log that users may read with ``get_agent_log -f <name>``."""

    filename: str
    description: str
    path: Path


@dataclass(frozen=True)
class LogEntry:
    """A row of the list of an agent's logs."""

    filename: str
    description: str


@dataclass(frozen=True)
class AgentStatus:
    """What an agent says of itself; ``started`` in seconds since 1970, UTC."""

    node: str
    version: str
    started: float


class ServiceAgent:
    """Runs one service's software on this machine; its manager tells it what to do.

    May override:
        ``on_boot()``: called when the agent starts or comes back; the software it supervises is
        running already.  ``logs()``: the logs that users may read, beside the agent's own.
        ``collect()``: what is measured here: ``yield from super().collect()``, then your own.

    Given to you:
        ``self.place`` (node, role, address, application, service), ``self.root`` (begin every
        path with it: ``self.root / "etc/…"``), ``self.supervisor``, ``self.store`` (a persisted
        dictionary of JSON values), ``self.log``.

    Operations are methods marked with :func:`conpaas.rpc.expose`; only the manager of the agent's
    own application may call them.  They run on several threads at once, but at most one changing
    job at a time.
    """

    def __init__(self, place: AgentPlace) -> None:
        self.place = place
        self.root = place.root
        self.supervisor = place.supervisor
        self.store = place.store
        self.log = place.log
        self._meter: Meter | None = None
        self._startup = Startup(place.root, {"MY_IP": place.address, "MY_ROLE": place.role})

    def on_boot(self) -> None:
        """Take up where the agent left off; does nothing unless overridden."""

    def logs(self) -> list[LogFile]:
        """Return the logs that users may read beside the agent's own."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Measure this node: return metric families of ``prometheus_client.core``.

        Called every few seconds, on any thread.  What cannot be measured just now is left out,
        never 0; an error loses only what would have come after it.  The default measures the
        machine.
        """
        # Late: clients import this file, and need none of it.
        from conpaas.features.monitoring.machine import Meter

        if self._meter is None:
            self._meter = Meter()
        return self._meter.collect()

    @expose(reads=True, hidden=True)
    def list_logs(self) -> list[LogEntry]:
        """List the logs that this agent offers."""
        return [LogEntry(log.filename, log.description) for log in self._logs()]

    @expose(reads=True, hidden=True)
    def get_log(
        self,
        filename: Annotated[str, "Which log"] = "agent.log",
        lines: Lines = 1000,
    ) -> str:
        """Return the end of a log; empty when nothing has been written to it."""
        return tail(self._log(filename), lines)

    @expose(reads=True, hidden=True)
    def read_log(
        self,
        filename: Annotated[str, "Which log"] = "agent.log",
        lines: Lines = 1000,
        after: After = None,
    ) -> Piece:
        """Return what a log has grown by."""
        return follow(self._log(filename), lines, after)

    @expose(hidden=True)
    def begin_startup(
        self, script: Annotated[Upload, "The startup script of the service"]
    ) -> StartupStatus:
        """Run the startup script, if this machine has never run one; do not wait for it."""
        self._startup.begin(script.stream.read())
        return self._startup.status()

    @expose(reads=True, hidden=True)
    def get_startup_status(self) -> StartupStatus:
        """Return how the startup script is getting on."""
        return self._startup.status()

    def _log(self, filename: str) -> Path:
        found = {log.filename: log.path for log in self._logs()}
        if filename not in found:
            raise InvalidError(f"there is no log {filename[:60]!r}{did_you_mean(filename, found)}")
        return found[filename]

    def _logs(self) -> list[LogFile]:
        own = LogFile("agent.log", "what the agent did", self.supervisor.log_file("agent"))
        startup = LogFile("startup.log", "what the startup script printed", self._startup.log)
        return [own, *([startup] if startup.path.exists() else []), *self.logs()]
