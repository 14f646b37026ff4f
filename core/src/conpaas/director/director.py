"""The director: what all its calls and jobs share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import peewee

from conpaas.certificates import Authority, Verifier
from conpaas.clouds.base import Cloud
from conpaas.director.audit import AuditBook
from conpaas.director.certificates import Certificates
from conpaas.director.config import DirectorConfig
from conpaas.director.files import ApplicationFiles
from conpaas.director.jobs import DirectorJobs, Queue
from conpaas.director.joining import Joining
from conpaas.director.machines import Life, MachineRoom
from conpaas.director.models import Application, Machine, StateChange
from conpaas.director.prepared import Prepared
from conpaas.director.users import Caller
from conpaas.director.volumes import VolumeRoom
from conpaas.errors import (
    CloudError,
    DeniedError,
    NotFoundError,
    UnreachableError,
    WrongStateError,
)
from conpaas.manager.application import ApplicationManager
from conpaas.plugins import Plugins
from conpaas.rpc import Channel, Operation, find_operation, operations, stub
from conpaas.state import State
from conpaas.transport import Answer
from conpaas.transport.peers import Body

logger = logging.getLogger(__name__)
_MANAGERS_MACHINE = Prepared(
    lambda application: (
        Machine.select()
        .where(
            Machine.application == application,
            Machine.service == 0,
            Machine.state == Life.RUNNING.value,
        )
        .order_by(Machine.id.desc())
        .limit(1)
    )
)


class ManagerWays(Protocol):
    """How the director reaches managers: over HTTPS for real, in one process in tests."""

    def manager(self, machine: Machine, path: str, user: str) -> Channel:
        """Return a channel to the manager on a machine; ``path`` stands before operations."""

    def check(self, machine: Machine) -> dict[str, str]:
        """Return the states of a manager's services, by number."""

    def get(self, machine: Machine, path: str, timeout: float = 30.0) -> Any:
        """Return the result of a GET."""

    def forward(
        self, machine: Machine, method: str, path: str, body: Body | None, headers: dict[str, str]
    ) -> Answer:
        """Pass a request on, its body and its answer piece by piece."""


class Director:
    """Everything that calls and jobs share.

    Args:
        config: The configuration.
        database: Bound to :mod:`conpaas.director.models`.
        plugins: Service types, kinds of cloud, and who permits calls.
        clouds: By name.
        authority: Issues certificates.
        ways: To managers.
        queue: Hands jobs to workers.
        objects: The objects of the API by name; each is made with the director and a caller.
        worker: Name of this process among those that run jobs.
    """

    def __init__(
        self,
        config: DirectorConfig,
        database: peewee.Database,
        plugins: Plugins,
        clouds: Mapping[str, Cloud],
        authority: Authority,
        ways: ManagerWays,
        queue: Queue,
        objects: Mapping[str, type[Any]],
        worker: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self.config = config
        self.database = database
        self.plugins = plugins
        self.clouds = clouds
        self.certificates = Certificates(authority, config, clock)
        self.verifier = Verifier(authority.ca_pem, config.director.name, clock)
        self.room = MachineRoom(
            config,
            clouds,
            self.certificates,
            clock,
            wanted=lambda machines: self._hook("machines_wanted", machines),
            gone=self._machines_gone,
        )
        self.volumes = VolumeRoom(config, clouds, clock)
        self.joining = Joining(self.certificates, config, self._address_of, clock)
        self.ways = ways
        self.clock = clock
        self.audit = AuditBook(clock)
        self.jobs = DirectorJobs(
            queue, self.object, self.declared, worker, ended=self.audit.job_ended
        )

    # -- objects of the API -------------------------------------------------------------------

    def object(self, name: str, caller: Caller) -> Any:
        """Return the object of that name, made for a caller.

        Raises:
            NotFoundError: There is none.
        """
        return self._class(name)(self, caller)

    def declared(self, name: str, operation: str) -> Operation:
        """Return the declaration of an object's operation."""
        return find_operation(self._class(name), operation)

    def is_public(self, name: str, operation: str) -> bool:
        """Whether anybody may call an operation; none that there is not."""
        found = operations(self._objects[name]).get(operation) if name in self._objects else None
        return found is not None and found.public

    def _class(self, name: str) -> type[Any]:
        if name not in self._objects:
            raise NotFoundError(f"there is no object {name[:60]!r}")
        return self._objects[name]

    def permit(self, caller: Caller, operation: Operation) -> None:
        """Raise when the caller may not call this, or a plugin refuses the call."""
        if operation.public:
            return
        if caller.scope == "read" and not operation.reads:
            raise DeniedError(
                "this token may only read: make one that may change things "
                "(cps-user create_token --scope all)"
            )
        if operation.admin and not caller.admin:
            raise DeniedError(f"only administrators may call {operation.name}")
        hook = self.plugins.hook.conpaas_permit
        for refusal in hook(director=self, user=caller, operation=operation):
            raise DeniedError(refusal)

    # -- applications and their managers ------------------------------------------------------

    def files(self, application: int) -> ApplicationFiles:
        """Return what an application's manager handed over."""
        most = max(self.config.limits.upload, self.config.limits.backup)
        return ApplicationFiles(self.config.data / "applications", application, most)

    def set_state(self, application: Application, state: State, reason: str) -> None:
        """Change an application's state and note the change."""
        with self.database.atomic():
            application.state = state.value
            Application.update(state=state.value).where(Application.id == application.id).execute()
            StateChange.create(
                application=application, time=self.clock(), state=state.value, reason=reason
            )

    def manager_machine(self, application: Application) -> Machine | None:
        """Return the machine of an application's manager, None when it has none."""
        return _MANAGERS_MACHINE.first(Machine, application.id)

    def require_manager(self, application: Application) -> Machine:
        """Return the machine of a running application's manager.

        Raises:
            WrongStateError: The application does not run; says what to do.
        """
        machine = self.manager_machine(application)
        if machine is None or application.state in (State.INIT, State.STOPPED, State.PROLOGUE):
            raise WrongStateError(
                f"application {application.name!r} is {application.state}: start it first "
                f"(cps-tools application start {application.id})",
                detail={"state": application.state},
            )
        return machine

    def manager(self, machine: Machine, user: str) -> ApplicationManager:
        """Return a stub of the manager on a machine."""
        return stub(ApplicationManager, self.ways.manager(machine, "/api/v1/manager", user))

    def manager_answers(self, machine: Machine) -> bool:
        """Whether the manager on a machine is there."""
        try:
            self.ways.check(machine)
        except UnreachableError:
            return False
        return True

    def _machines_gone(self, machines: list[Machine]) -> None:
        self.volumes.machines_gone(machines)
        self._hook("machines_gone", machines)

    def _hook(self, name: str, machines: list[Machine]) -> None:
        getattr(self.plugins.hook, f"conpaas_{name}")(director=self, machines=machines)

    def _address_of(self, machine: Machine) -> str:
        found = self.room.cloud(machine.cloud).find_machine(machine.name)
        if found is None or found.address is None:
            raise CloudError(f"the cloud does not say the address of {machine.name} yet")
        return found.address

    def refresh_revoked(self) -> None:
        """Take note of the certificates that were revoked since, in this process."""
        self.verifier.revoked = self.certificates.revoked()
