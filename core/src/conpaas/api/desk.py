"""What managers call."""

from __future__ import annotations

import abc
from typing import Annotated, ClassVar

from conpaas.api.applications import ServiceInfo
from conpaas.api.references import CloudOption
from conpaas.api.system import MachineInfo
from conpaas.rpc import Download, Job, Upload, expose
from conpaas.state import State


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
    ) -> Job[tuple[MachineInfo, ...]]:
        """Create machines for a service and wait until each has joined."""

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
