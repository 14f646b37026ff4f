"""One service on its manager: its place, its states and what its jobs change."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import asdict
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TypeVar

from conpaas import jobs
from conpaas.api import Change, ManagerDesk
from conpaas.errors import ConPaaSError, WrongStateError
from conpaas.features.monitoring.kept import ServiceSamples
from conpaas.manager.base import ServiceManager
from conpaas.manager.blobs import DirectorBlobs
from conpaas.manager.book import Book
from conpaas.manager.config import ManagerConfig
from conpaas.manager.machines import ServiceMachines
from conpaas.manager.nodes import Node, NodeState
from conpaas.manager.place import Blobs, Machines, Nodes, Volumes
from conpaas.manager.volumes import ServiceVolumes
from conpaas.manager.ways import Ways
from conpaas.plugins import Plugins
from conpaas.reception import Room
from conpaas.records import Store
from conpaas.rpc import JobState, Operation, find_operation, stub
from conpaas.service import Service
from conpaas.state import State
from conpaas.supervisor.base import BaseSupervisor
from conpaas.supervisor.part import SupervisorPart

T = TypeVar("T")
LOG_BYTES = 4 << 20  #: of a service's log, before it begins anew


class ServiceHost:
    """Keeps one service: it is the place of its manager object and the target of its jobs.

    Args:
        number: Of the service in its application.
        service: Its type.
        config: Of the manager.
        book: The manager's records.
        desk: The director.
        ways: To the agents.
        blobs: Files that survive.
        runner: Of the manager's jobs.
        plugins: Who is told of nodes and states.
        logs: The directory of the services' logs.
        directory: Where the services' files lie on the manager's machine.
        supervisor: Of the manager's machine.
        changed: Called after each change of state.
        published: Called when the service has published something else.
        samples: What the nodes have measured.
    """

    def __init__(
        self,
        number: int,
        service: Service,
        config: ManagerConfig,
        book: Book,
        desk: ManagerDesk,
        ways: Ways,
        blobs: DirectorBlobs,
        runner: jobs.JobRunner,
        plugins: Plugins,
        logs: Path,
        directory: Path,
        supervisor: BaseSupervisor,
        changed: Callable[[], None],
        published: Callable[[], None],
        samples: ServiceSamples,
    ) -> None:
        self.name = f"service {number}"
        self.number = number
        self.service = service
        self.application = config.manager.application
        self.address = config.manager.address
        self.max_nodes = config.limits.nodes_per_service
        self.upload_limit = config.limits.upload
        self.data_limit = config.limits.data
        self.backup_limit = config.limits.backup
        self.unpacked_limit = config.limits.unpacked
        self.members_limit = config.limits.members
        self.volume_limit = config.limits.volume
        self.startup_limit = config.limits.startup_script
        self.startup_time = config.limits.startup_time
        self.samples = samples
        self.blobs: Blobs = blobs.of(self.name)
        self.store: MutableMapping[str, Any] = Store(book.records, self.name)
        self.log_path = logs / f"service-{number}.log"
        self.directory = directory / str(number)
        self.supervisor: BaseSupervisor = SupervisorPart(supervisor, f"service-{number}-")
        self.log = _logger(config.manager.application, number, self.log_path)
        self.nodes: Nodes = HostNodes(number, book)
        self.machines: Machines = ServiceMachines(
            number, book, desk, runner, ways, config.watch.boot
        )
        self.volumes: Volumes = ServiceVolumes(number, desk, runner)
        self._book = book
        self._ways = ways
        self._runner = runner
        self._plugins = plugins
        self._changed = changed
        self._published = published
        self._desk = desk
        self.manager: ServiceManager[Any] = service.manager_class(self)

    # -- the place ----------------------------------------------------------------------------

    @property
    def resuming(self) -> bool:
        """Whether the present job is run again after a crash."""
        return jobs.resuming()

    def state(self) -> State:
        """Return the service's state."""
        return self._book.states()[self.number]

    def history(self) -> list[Change]:
        """Return the changes of state, oldest first."""
        return self._book.history(self.number)

    def note(self, text: str) -> None:
        """Note in the history, and in the log, what happened to the service."""
        self._book.note(self.number, text)
        self.log.info("%s", text)

    def agent(self, node: Node) -> Any:
        """Return a stub of a node's agent."""
        return stub(self.service.agent_class, self._ways.agent(node))

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T | ConPaaSError]:
        """Make calls concurrently."""
        return self._ways.at_once(calls)

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """Return what the present job decided under ``key``, after a crash too."""
        return self._runner.remember(key, make)

    def recall(self, key: str) -> Any:
        """Return what the present job decided under ``key``, None when nothing yet."""
        return self._runner.recall(key)

    def choose(self, choose: Callable[[], list[Node]]) -> list[Node]:
        """Return the nodes that the present job is about; after a crash the same ones again."""
        chosen = self._runner.remember("nodes", lambda: [asdict(node) for node in choose()])
        return [Node(**{**node, "state": NodeState(node["state"])}) for node in chosen]

    def leave(self, nodes: Sequence[Node]) -> None:
        """Mark nodes as leaving."""
        self._book.mark(nodes, NodeState.LEAVING)

    def tell_added(self, nodes: list[Node]) -> None:
        """Tell the plugins that nodes have joined."""
        self.log.info("nodes have joined: %s", _names(nodes))
        self._plugins.tell("conpaas_nodes_added", service=self.manager, nodes=nodes)

    def tell_removed(self, nodes: list[Node]) -> None:
        """Tell the plugins that nodes have left."""
        self.log.info("nodes have left: %s", _names(nodes))
        self._plugins.tell("conpaas_nodes_removed", service=self.manager, nodes=nodes)

    def shared(self, name: str) -> MutableMapping[str, Any]:
        """Return a persisted dictionary that all services of the application share."""
        return self._book.shared(name)

    def publish(self, values: dict[str, str]) -> None:
        """Keep what the service tells the others, and have them look at it."""
        if self._book.publish(self.number, values):
            self.log.info("published: %s", ", ".join(sorted(values)) or "nothing any more")
            self._published()

    def published(self) -> dict[int, dict[str, str]]:
        """Return what the other services tell, by their number."""
        return {n: values for n, values in self._book.published().items() if n != self.number}

    def service_names(self) -> dict[int, str]:
        """Return the names of the application's services, by number."""
        return {service.sid: service.name for service in self._desk.list_services()}

    # -- what jobs change ---------------------------------------------------------------------

    @property
    def room(self) -> Room:
        """Where the files lie that jobs work on."""
        return Room(self.directory, self.data_limit)

    def declared(self, operation: str) -> Operation:
        """Return the declaration of an operation of the service."""
        return find_operation(type(self.manager), operation)

    def make(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        """Call the service manager's method."""
        return getattr(self.manager, operation.name)(**arguments)

    def permit(self, operation: Operation) -> None:
        """Refuse what the present state does not allow."""
        state = self.state()
        if operation.states and state not in operation.states:
            wanted = " or ".join(operation.states)
            raise WrongStateError(
                f"service {self.number} is {state}; {operation.name} is possible when it is "
                f"{wanted}",
                detail={"state": state.value, "allowed": list(operation.states)},
            )

    def begin(self, operation: Operation) -> str | None:
        """Enter the state that the operation declares; return the one before."""
        before = self.state()
        if operation.meanwhile is not None:
            self._enter(operation.meanwhile, operation.name)
        return before.value

    def end(self, operation: Operation, before: str | None, state: JobState, reason: str) -> None:
        """Enter the state that follows from how the job ended."""
        if operation.meanwhile is None or self.number not in self._book.states():
            return
        after = operation.then if state is JobState.DONE else operation.otherwise
        if state is JobState.CANCELLED or after is None:
            after = State(before or State.ERROR)
        failed = state in (JobState.FAILED, JobState.INTERRUPTED)
        if failed and after is State.RUNNING and self.manager.is_in_pieces():
            after = State.ERROR
        told = f"{operation.name} {state}" + (f": {reason}" if reason else "")
        self._enter(after, told)

    def _enter(self, state: State, reason: str) -> None:
        before = self.state()
        self._book.set_state(self.number, state, reason)
        self.log.info("%s -> %s (%s)", before, state, reason)
        self._plugins.tell(
            "conpaas_state_changed", service=self.manager, before=before, after=state
        )
        self._changed()

    def clear(self) -> None:
        """Remove the programs and the files that the service has on this machine."""
        for name in self.supervisor.names():
            self.supervisor.remove(name)
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def close(self) -> None:
        """Let go of the log."""
        for handler in list(self.log.handlers):
            handler.close()
            self.log.removeHandler(handler)


class HostNodes:
    """The recorded nodes of one service."""

    def __init__(self, number: int, book: Book) -> None:
        self._number = number
        self._book = book

    def all(self) -> list[Node]:
        """Return every node, oldest first."""
        return self._book.nodes(self._number)

    def ready(self) -> list[Node]:
        """Return the nodes that serve, oldest first."""
        return self._book.nodes(self._number, NodeState.READY)

    def lost(self) -> list[Node]:
        """Return the nodes that do not answer."""
        return self._book.nodes(self._number, NodeState.LOST)

    def leaving(self) -> list[Node]:
        """Return the nodes that are being given up."""
        return self._book.nodes(self._number, NodeState.LEAVING)

    def note_roles(self) -> None:
        """Note the roles of the nodes, which are about to go; if there are none, nothing."""
        self._book.note_roles(self._number)

    def noted_roles(self) -> tuple[str, ...]:
        """Return the roles of the nodes that there were; empty when all are there again."""
        return self._book.noted_roles(self._number)

    def forget_roles(self) -> None:
        """Forget what was noted: all are there again, or are to be no more."""
        self._book.forget_roles(self._number)

    def succeed(self, lost: Sequence[Node], added: Sequence[Node]) -> list[Node]:
        """Give each new node the position of a lost one of its role; return them as they are."""
        return self._book.succeed(lost, added)

    def take_back(self, agent_ids: Sequence[str]) -> list[Node]:
        """Have these serve again, of those that were lost or are back already."""
        self._book.mark([node for node in self.lost() if node.id in agent_ids], NodeState.READY)
        return [node for node in self.ready() if node.id in agent_ids]


def _logger(application: int, number: int, path: Path) -> logging.Logger:
    path.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger(f"conpaas.application.{application}.service.{number}")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
        formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    return logger


def _names(nodes: list[Node]) -> str:
    return ", ".join(f"{node.id} ({node.address})" for node in nodes)
