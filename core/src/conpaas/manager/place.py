"""What a service manager is given: where it runs, and the tools that work for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from conpaas.api import Change, ManagerDesk, VolumeInfo
from conpaas.errors import ConPaaSError
from conpaas.machine.places import Places
from conpaas.manager.config import LimitsSection
from conpaas.manager.nodes import Node
from conpaas.rpc import Job
from conpaas.service_type import ServiceType
from conpaas.state import State
from conpaas.supervisor.base import BaseSupervisor

if TYPE_CHECKING:
    # Clients import this file, and compute nothing.
    from conpaas.features.monitoring.kept import ServiceSamples

T = TypeVar("T")


@dataclass(frozen=True)
class Blob:
    """A stored file: its SHA-256 in hex, which is also its name, and its size in bytes."""

    digest: str
    size: int


class Blobs(Protocol):
    """Files that survive the manager's machine: kept here and at the director."""

    def put(
        self,
        stream: IO[bytes] | Iterable[bytes],
        limit: int,
        note: Callable[[Blob], None] = lambda blob: None,
    ) -> Blob:
        """Store what ``stream`` holds; when this returns, the director has it too.

        Args:
            stream: The content, or its pieces.
            limit: How many bytes it may have.
            note: Told what it will be before it is kept, for who must find it after a crash.

        Raises:
            TooLargeError: It has more than ``limit`` bytes; nothing is kept.
        """

    def path(self, digest: str) -> Path:
        """Return where the file is on this machine, fetched from the director if need be."""

    def delete(self, digest: str) -> None:
        """Forget a file, here and at the director; one that is gone is fine."""


class Machines(Protocol):
    """Machines for the nodes of one service, by way of the director."""

    def provide(
        self,
        roles: Sequence[str],
        cloud: str | None,
        lost: Sequence[Node | None] = (),
        instead_of: Sequence[Node] = (),
        meanwhile: Callable[[list[Node]], Job[None]] | None = None,
    ) -> Job[list[Node]]:
        """Get a machine for each role and wait until its agent answers.

        Args:
            roles: Of the nodes, in their order.
            cloud: Where from; None is the application's.
            lost: For each role the node whose address and cloud the new one shall have, if any;
                its machine is given back first.
            instead_of: The nodes that these replace: by them a job that gets machines more than
                once tells what it has got.
            meanwhile: What is done when the machines run, before their agents answer.

        Run again by the same job after a crash, it returns the same nodes, but for those that
        were replaced meanwhile.  When one fails, all of them are given back before the error is
        raised.
        """

    def release(self, nodes: Sequence[Node]) -> Job[None]:
        """Give the machines of these nodes back and forget the nodes."""

    def release_all(self) -> Job[None]:
        """Give back every machine that anybody knows of for this service."""

    def fence(self, nodes: Sequence[Node]) -> Job[None]:
        """Destroy the machines of nodes, so that whatever runs there does not any more.

        The nodes stay noted: who replaces them gets their address, position and volumes.  It may
        be repeated; when it returns, the machines are gone.

        Raises:
            CloudError: A machine could not be destroyed: it may run still.
        """

    def find_lost(self) -> Job[list[Node]]:
        """Wait until each node that serves answers or counts as lost; return the lost ones.

        For who has failed at something, and would try again if the reason was a machine that died.
        """

    def tidy(self) -> Job[None]:
        """Give back the nodes that never joined, and the machines that are no node's."""


class Volumes(Protocol):
    """The volumes of one service, by way of the director."""

    def all(self) -> list[VolumeInfo]:
        """Return the volumes of the service, oldest first."""

    def of_application(self) -> list[VolumeInfo]:
        """Return the volumes of all services of the application: names are unique in it."""

    def create(self, node: Node, name: str, size: int) -> Job[VolumeInfo]:
        """Create a volume of at least ``size`` MB for a node, in its cloud.

        Run again by the same job after a crash, it returns the same volume.  Nothing is left of
        one that cannot be created.
        """

    def attach(self, volume: VolumeInfo, node: Node) -> Job[VolumeInfo]:
        """Attach a volume to a node, to which it belongs from now on; repeated, it is the same."""

    def detach(self, volume: VolumeInfo) -> Job[None]:
        """Detach a volume; it still belongs to the node of that role and position."""

    def grow(self, volume: VolumeInfo, size: int) -> Job[VolumeInfo]:
        """Make a volume at least ``size`` MB large; repeated, it is the same."""

    def orphan(self, volumes: Sequence[VolumeInfo]) -> None:
        """Note that volumes belong to no node any more."""

    def destroy(self, volume: VolumeInfo) -> Job[None]:
        """Detach a volume and destroy it with its data; one that is gone is fine."""


class Nodes(Protocol):
    """The recorded nodes of one service."""

    def all(self) -> list[Node]:
        """Return every node, oldest first."""

    def ready(self) -> list[Node]:
        """Return the nodes that serve, oldest first."""

    def lost(self) -> list[Node]:
        """Return the nodes that do not answer."""

    def leaving(self) -> list[Node]:
        """Return the nodes that are being given up."""

    def note_roles(self) -> None:
        """Note the roles of the nodes, which are about to go; if there are none, nothing."""

    def noted_roles(self) -> tuple[str, ...]:
        """Return the roles of the nodes that there were; empty when all are there again."""

    def forget_roles(self) -> None:
        """Forget what was noted: all are there again, or are to be no more."""

    def succeed(self, lost: Sequence[Node], added: Sequence[Node]) -> list[Node]:
        """Give each new node the position of a lost one of its role; return them as they are."""

    def take_back(self, agent_ids: Sequence[str]) -> list[Node]:
        """Have these serve again, of those that were lost or are back already."""


class ManagerPlace(Protocol):
    """Where a :class:`~conpaas.manager.base.ServiceManager` lives."""

    number: int  #: of the service in its application
    application: int
    address: str  #: of the manager's machine
    supervisor: BaseSupervisor  #: keeps what the service runs on the manager's machine
    directory: Path  #: for the service's files on the manager's machine; made by who needs it
    store: MutableMapping[str, Any]
    blobs: Blobs
    machines: Machines
    volumes: Volumes
    nodes: Nodes
    samples: ServiceSamples  #: what its nodes have measured
    log: logging.Logger
    log_path: Path
    max_nodes: int
    upload_limit: int  #: bytes
    data_limit: int  #: bytes of a file that a job works on
    backup_limit: int  #: bytes
    unpacked_limit: int  #: bytes of an archive's contents
    members_limit: int  #: files and directories in an archive
    volume_limit: int  #: MB of a volume
    startup_limit: int  #: bytes of a startup script
    startup_time: int  #: seconds that a startup script may run

    @property
    def service(self) -> ServiceType:
        """The service's type."""

    @property
    def resuming(self) -> bool:
        """Whether the present job is run again after a crash."""

    def state(self) -> State:
        """Return the service's state."""

    def history(self) -> list[Change]:
        """Return the changes of state, oldest first."""

    def note(self, text: str) -> None:
        """Note in the history, and in the log, what happened to the service."""

    def agent(self, node: Node) -> Any:
        """Return a stub of a node's agent."""

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T | ConPaaSError]:
        """Make calls concurrently; return their results or errors in order."""

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """Return what the present job decided under ``key``, as JSON; after a crash too."""

    def recall(self, key: str) -> Any:
        """Return what the present job decided under ``key``, None when nothing yet."""

    def choose(self, choose: Callable[[], list[Node]]) -> list[Node]:
        """Return the nodes that the present job is about; after a crash the same ones again."""

    def leave(self, nodes: Sequence[Node]) -> None:
        """Mark nodes as leaving."""

    def tell_added(self, nodes: list[Node]) -> None:
        """Tell the plugins that nodes have joined."""

    def tell_removed(self, nodes: list[Node]) -> None:
        """Tell the plugins that nodes have left."""

    def shared(self, name: str) -> MutableMapping[str, Any]:
        """Return a persisted dictionary that all services of the application share."""

    def publish(self, values: dict[str, str]) -> None:
        """Keep what the service tells the others, and have them look at it."""

    def published(self) -> dict[int, dict[str, str]]:
        """Return what the other services tell, by their number."""

    def service_names(self) -> dict[int, str]:
        """Return the names of the application's services, by number."""


class ApplicationPlace(Protocol):
    """A manager of an application, as plugins see it."""

    application: int  #: its number
    address: str  #: of the manager's machine
    directory: Path  #: where files of this machine may lie; they are gone when the machine is
    desk: ManagerDesk  #: the director
    limits: LimitsSection
    machine: Places | None  #: the machine, None when the manager has none of its own (tests)

    @property
    def managers(self) -> list[Any]:
        """The application's service managers, by number."""

    def shared(self, name: str) -> MutableMapping[str, Any]:
        """Return a persisted dictionary that all services of the application share."""

    def hand_over(self) -> None:
        """Hand the manager's state to the director, and return when the director has it.

        Raises:
            ConPaaSError: It could not be handed over; it will be tried again.
        """
