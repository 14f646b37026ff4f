"""What managers call."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar

from conpaas.api.applications import ServiceInfo
from conpaas.api.references import CloudOption
from conpaas.api.system import MachineInfo
from conpaas.rpc import Download, Job, Upload, expose
from conpaas.state import State


@dataclass(frozen=True)
class VolumeInfo:
    """A volume, as managers see it.

    ``wanted`` is the size that was asked for, ``size`` the true one, in MB.  ``machine`` and
    ``device`` say where it is attached, None when it is not.  ``role`` and ``position`` say which
    node it belongs to, also while there is none; without a position it waits for nobody.
    """

    id: int
    name: str
    aid: int
    sid: int
    wanted: int
    size: int
    cloud: str
    state: str
    machine: int | None
    device: str | None
    role: str
    position: int | None


VolumeNumber = Annotated[int, "Number of the volume"]


class ManagerDesk(abc.ABC):
    """What an application's manager may ask, for its own application only."""

    object: ClassVar[str] = "manager"

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def create_machines(
        self,
        service: Annotated[int, "Number of the service"],
        roles: Annotated[tuple[str, ...], "A role for each machine"],
        key: Annotated[str, "The same key gets the same machines, however often it is asked"],
        cloud: CloudOption = None,
        replaces: Annotated[
            tuple[int, ...],
            "For each role the number of a lost machine, which is destroyed, and whose cloud and, "
            "if possible, address the new one gets; 0 where there is none",
        ] = (),
    ) -> Job[tuple[MachineInfo, ...]]:
        """Create machines for a service and wait until each has joined."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def keeps_addresses(self, cloud: Annotated[str, "Name of a cloud"]) -> bool:
        """Tell whether a cloud can give a machine the address that a lost one had."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def remove_machines(
        self, machines: Annotated[tuple[int, ...], "Numbers of the machines"]
    ) -> Job[None]:
        """Destroy machines of the application; those that are gone are fine."""

    @abc.abstractmethod
    @expose(hidden=True)
    def keep_machines(
        self,
        machines: Annotated[tuple[int, ...], "Those that are nodes"],
        keys: Annotated[tuple[str, ...], "Those that jobs have asked for under these keys, too"],
    ) -> None:
        """Destroy, soon, whatever other machines the application's services have."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def list_machines(
        self, service: Annotated[int | None, "Only those of this service"] = None
    ) -> tuple[MachineInfo, ...]:
        """List the machines of the application, as its clouds tell."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def list_services(self) -> tuple[ServiceInfo, ...]:
        """List the services that the application shall have."""

    @abc.abstractmethod
    @expose(hidden=True)
    def hand_over(
        self,
        states: Annotated[dict[str, State], "State of each service, by number"],
        snapshot: Annotated[Upload, "The manager's database"],
    ) -> None:
        """Keep the manager's state, so that another machine can take over."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def take_over(self) -> Download:
        """Return the state that was handed over last; empty when there is none."""

    @abc.abstractmethod
    @expose(hidden=True)
    def put_blob(self, digest: Annotated[str, "SHA-256, hex"], content: Upload) -> None:
        """Keep a file."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def get_blob(self, digest: Annotated[str, "SHA-256, hex"]) -> Download:
        """Return a file that was put."""

    @abc.abstractmethod
    @expose(hidden=True)
    def delete_blob(self, digest: Annotated[str, "SHA-256, hex"]) -> None:
        """Forget a file; one that is gone is fine."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def list_keys(self) -> tuple[str, ...]:
        """Return the SSH keys of the application's owner, as lines of authorized_keys."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def list_volumes(self) -> tuple[VolumeInfo, ...]:
        """List the volumes of all services of the application."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def create_volume(
        self,
        machine: Annotated[int, "Number of the machine that it is for: it is made in its cloud"],
        name: Annotated[str, "As users call it"],
        size: Annotated[int, "In MB, at least"],
        position: Annotated[int, "Of the node among those of its role"],
        key: Annotated[str, "The same key gets the same volume, however often it is asked"],
    ) -> Job[VolumeInfo]:
        """Create a volume; nothing is left of one that cannot be created."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def attach_volume(
        self,
        volume: VolumeNumber,
        machine: Annotated[int, "Number of the machine"],
        position: Annotated[int, "Of the node among those of its role"],
    ) -> Job[VolumeInfo]:
        """Attach a volume to a machine, of whose node it is from now on."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def detach_volume(self, volume: VolumeNumber) -> Job[VolumeInfo]:
        """Detach a volume; one that is not attached is fine."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def grow_volume(
        self, volume: VolumeNumber, size: Annotated[int, "In MB, at least"]
    ) -> Job[VolumeInfo]:
        """Make a volume larger; one that is as large already is left alone."""

    @abc.abstractmethod
    @expose(hidden=True)
    def orphan_volumes(
        self, volumes: Annotated[tuple[int, ...], "Numbers of the volumes"]
    ) -> None:
        """Note that volumes wait for no node any more."""

    @abc.abstractmethod
    @expose(hidden=True, resumes=True)
    def destroy_volume(self, volume: VolumeNumber) -> Job[None]:
        """Detach a volume and destroy it with its data; one that is gone is fine."""
