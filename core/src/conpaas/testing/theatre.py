"""A service that is rehearsed on a cluster: its agents only note what they are told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.errors import AgentError, UnreachableError
from conpaas.service import Service
from conpaas.state import State

if TYPE_CHECKING:
    from conpaas.testing.cluster import Cluster


@dataclass
class Stage:
    """What all agents of a rehearsal share; each rehearsal adds what it judges by.

    Args:
        agents: By address.
        events: What agents were told, in order: an address, what, and how.
        wrong: What was wrong at any moment.
        failing: Raised by an operation, by address and name.
        before: Called before each event is carried out, with its number.
    """

    agents: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failing: dict[tuple[str, str], str] = field(default_factory=dict)
    before: Callable[[int], None] = lambda number: None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, agent: ServiceAgent, what: str, how: Any = None) -> None:
        """Note an event, or fail as is wished."""
        address = agent.place.address
        with self.lock:
            self.events.append((address, what, how))
            number = len(self.events)
        self.before(number)
        why = self.failing.get((address, what))
        self.began(address, what, failed=why is not None)
        if why is not None:
            raise AgentError(why)

    def began(self, address: str, what: str, *, failed: bool) -> None:
        """Take note of an event that is carried out now, or fails."""


S = TypeVar("S", bound=Stage)


class RehearsalPlugin:
    """The service type of a rehearsal, as a plugin of a test: it is called ``rehearsal``.

    Args:
        stage: What its agents share; they have it as ``stage``.
        service: The type, with the manager that directs the rehearsal.
        agent: The agent that notes what it is told.
    """

    def __init__(self, stage: Stage, service: Service, agent: type[ServiceAgent]) -> None:
        staged = type("StagedAgent", (agent,), {"stage": stage})
        self._service = replace(service, name="rehearsal", agent=staged)

    @hookimpl
    def conpaas_service(self) -> Service:
        """Return the service type."""
        return self._service


class Theatre(Generic[S]):
    """An application with one rehearsed service, and short ways to use it.

    Args:
        cluster: With a :class:`RehearsalPlugin`.
        stage: What the agents share.
    """

    def __init__(self, cluster: Cluster, stage: S) -> None:
        self.cluster = cluster
        self.stage = stage
        self.aid = cluster.application()
        self.user: Any = cluster.service("rehearsal", self.aid)
        #: Every word of the last job.
        self.told: list[str] = []

    # -- what users do ------------------------------------------------------------------------

    def run(self, job: Any) -> Any:
        """Run a job to its end, and note every word of it."""
        result = self.cluster.run(job)
        self.idle()
        number = self.manager.runner.latest(1)[0].id
        self.told = [step.message for step in self.manager.runner.report(number).steps]
        return result

    def start(self, **more: int) -> None:
        """Start the service, and add nodes of these roles."""
        self.run(self.user.start())
        if any(more.values()):
            self.add(**more)

    def add(self, **counts: int) -> None:
        """Add nodes."""
        self.run(self.user.add_nodes(nodes=counts))

    def remove(self, **counts: int) -> None:
        """Remove nodes."""
        self.run(self.user.remove_nodes(nodes=counts))

    def history(self) -> list[str]:
        """Return the words of the history."""
        return [change.reason for change in self.user.get_history()]

    # -- looking inside -----------------------------------------------------------------------

    @property
    def manager(self) -> Any:
        """The application's manager."""
        return self.cluster.manager(self.aid)

    @property
    def host(self) -> Any:
        """The service, as its manager has it."""
        return self.manager.host(1)

    @property
    def managers_machine(self) -> Any:
        """The manager's machine."""
        return next(m for m in list(self.cluster.machines.values()) if m.manager is not None)

    @property
    def state(self) -> State:
        """The service's state."""
        return self.cluster.state(self.aid, 1)

    def roles(self) -> dict[str, str]:
        """Return the roles of the nodes by their ids."""
        return {node.agent_id: node.role for node in self.user.list_nodes()}

    def machine(self, node: str) -> Any:
        """Return the machine of a node."""
        return self.cluster.machine(int(node.removeprefix("node-")))

    # -- what happens -------------------------------------------------------------------------

    def idle(self) -> None:
        """Wait until no job is at work; while the manager is away, one may be."""

        def is_idle() -> bool:
            try:
                manager = self.manager
                return not any(
                    manager.runner.busy(h.name) for h in list(manager.services.values())
                )
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(is_idle)

    def is_killed(self, change: Callable[[], Any], step: int) -> bool:
        """Make a change, kill the manager at a step of it; return whether there was one."""
        at = len(self.stage.events) + step
        died: list[int] = []

        def die(number: int) -> None:
            if number == at and not died:
                died.append(number)
                self.cluster.restart(self.managers_machine)

        self.stage.before = die
        try:
            change()
        except UnreachableError:
            if not died:  # else it was before it could answer that the job has begun
                raise
        finally:
            self.stage.before = lambda number: None
        self.idle()
        return bool(died)
