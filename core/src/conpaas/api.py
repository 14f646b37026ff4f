"""What the director offers: one class for each object, as its clients see it.

These are the declarations.  The director implements them; the command line, the frontend and the
managers call them through stubs; routes, help, forms and reference are derived.  The operations of
a service's own manager are not here: they are those of its
:class:`~conpaas.manager.base.ServiceManager`, and the director passes them on.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar

from conpaas.names import Name
from conpaas.rpc import Download, Job, JobReport, Upload, expose
from conpaas.schema import Option
from conpaas.state import STARTABLE, State

ApplicationRef = Annotated[
    str | int, "Name or id of an application", Option(metavar="app_name_or_id")
]
ServiceRef = Annotated[str | int, "Name or id of a service", Option(metavar="serv_name_or_id")]
CloudOption = Annotated[str | None, "Name of a cloud", Option(short="-c")]


# -- what comes back ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ApplicationInfo:
    """A row of ``application list``; ``manager`` is the address of its manager."""

    aid: int
    name: str
    manager: str | None
    cloud: str | None
    status: str


@dataclass(frozen=True)
class ServiceInfo:
    """A row of ``service list``."""

    aid: int
    sid: int
    type: str
    name: str
    status: str


@dataclass(frozen=True)
class ServiceType:
    """A row of ``service get_types``."""

    type: str
    title: str
    summary: str


@dataclass(frozen=True)
class CloudInfo:
    """A row of ``cloud list``."""

    name: str
    driver: str
    default: bool
    sizes: str


@dataclass(frozen=True)
class MachineInfo:
    """A row of ``machine list``; ``sid`` 0 is the application's manager."""

    id: int
    name: str
    aid: int
    sid: int
    role: str
    address: str | None
    cloud: str
    state: str


@dataclass(frozen=True)
class PluginInfo:
    """A row of ``plugin list``; ``state`` is "ok", or "broken" with the reason."""

    name: str
    distribution: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True)
class Change:
    """A change of state; ``time`` as ISO 8601 in UTC."""

    time: str
    state: str
    reason: str


@dataclass(frozen=True)
class UserInfo:
    """The user that is calling."""

    uid: int
    username: str
    email: str
    admin: bool
    created: str


@dataclass(frozen=True)
class Secret:
    """Something that is shown once; ``name`` says what it is for."""

    name: str
    value: str


@dataclass(frozen=True)
class Signed:
    """A certificate and the authority that issued it, both PEM."""

    certificate: str
    ca: str


# -- what users call ------------------------------------------------------------------------------


class Applications(abc.ABC):
    """Create, start, stop and delete applications."""

    object: ClassVar[str] = "application"

    @abc.abstractmethod
    @expose(done="Application '{name}' created with id {aid}.")
    def create(
        self, name: Annotated[Name, "What to call it", Option(metavar="appl_name")]
    ) -> ApplicationInfo:
        """Create an application."""

    @abc.abstractmethod
    @expose(reads=True)
    def list(self) -> tuple[ApplicationInfo, ...]:
        """List your applications."""

    @abc.abstractmethod
    @expose(reads=True)
    def get_info(self, application: ApplicationRef) -> ApplicationInfo:
        """Show one application."""

    @abc.abstractmethod
    @expose(done="Application with id {aid} has been renamed to '{name}'.")
    def rename(
        self, application: ApplicationRef, new_name: Annotated[Name, "What to call it from now on"]
    ) -> ApplicationInfo:
        """Rename an application."""

    @abc.abstractmethod
    @expose(
        states=STARTABLE,
        meanwhile=State.PROLOGUE,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
        done="Application '{name}' with id {aid} is running.",
    )
    def start(
        self, application: ApplicationRef, cloud: CloudOption = None
    ) -> Job[ApplicationInfo]:
        """Start an application: its manager, on a machine of its own."""

    @abc.abstractmethod
    @expose(
        meanwhile=State.EPILOGUE,
        then=State.STOPPED,
        otherwise=State.ERROR,
        resumes=True,
        preempts=True,
        done="Application '{name}' with id {aid} was stopped.",
        confirm="All machines of the application are given back. "
        "Its services' definitions, code and settings are kept.",
    )
    def stop(self, application: ApplicationRef) -> Job[ApplicationInfo]:
        """Stop an application and all its services, keeping their definitions and code."""

    @abc.abstractmethod
    @expose(
        meanwhile=State.EPILOGUE,
        otherwise=State.ERROR,
        resumes=True,
        preempts=True,
        done="Application '{name}' with id {aid} has been deleted.",
        confirm="The application, its services, their code and all their data are lost.",
    )
    def delete(self, application: ApplicationRef) -> Job[ApplicationInfo]:
        """Stop an application and delete it with all that belongs to it."""

    @abc.abstractmethod
    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        hidden=True,
    )
    def replace_manager(self, application: ApplicationRef) -> Job[ApplicationInfo]:
        """Start a manager on another machine that takes over from one that is lost."""

    @abc.abstractmethod
    @expose(reads=True)
    def get_history(self, application: ApplicationRef) -> tuple[Change, ...]:
        """Show every change of the application's state, oldest first."""

    @abc.abstractmethod
    @expose(reads=True)
    def get_log(self, application: ApplicationRef) -> str:
        """Show the end of the log of the application's manager."""


class Services(abc.ABC):
    """Add services to applications, list, rename and remove them."""

    object: ClassVar[str] = "service"

    @abc.abstractmethod
    @expose(reads=True)
    def get_types(self) -> tuple[ServiceType, ...]:
        """List the service types that are installed."""

    @abc.abstractmethod
    @expose(
        done="Service {type} successfully added to application {aid} with id {sid}.",
    )
    def add(
        self,
        service_type: Annotated[str, "Type of the service, see get_types"],
        application: ApplicationRef,
        name: Annotated[Name | None, "What to call it; default: New <type> service"] = None,
    ) -> ServiceInfo:
        """Add a service to a running application."""

    @abc.abstractmethod
    @expose(reads=True)
    def list(
        self,
        application: Annotated[
            str | int | None, "Only those of this application", Option(short="-a")
        ] = None,
        service_type: Annotated[str | None, "Only those of this type"] = None,
    ) -> tuple[ServiceInfo, ...]:
        """List the services of your applications."""

    @abc.abstractmethod
    @expose(reads=True)
    def get_state(self, application: ApplicationRef, service: ServiceRef) -> ServiceInfo:
        """Show one service and its state."""

    @abc.abstractmethod
    @expose(done="Service {sid} of application {aid} has been renamed to '{name}'.")
    def rename(
        self,
        application: ApplicationRef,
        service: ServiceRef,
        new_name: Annotated[Name, "What to call it from now on"],
    ) -> ServiceInfo:
        """Rename a service."""

    @abc.abstractmethod
    @expose(
        resumes=True,
        done="Service {sid} of application {aid} has been successfully removed.",
        confirm="The service, its code and all its data are lost.",
    )
    def remove(self, application: ApplicationRef, service: ServiceRef) -> Job[ServiceInfo]:
        """Stop a service and remove it with all that belongs to it."""


class Clouds(abc.ABC):
    """The places that machines come from."""

    object: ClassVar[str] = "cloud"

    @abc.abstractmethod
    @expose(reads=True)
    def list(self) -> tuple[CloudInfo, ...]:
        """List the clouds that are configured."""


class Machines(abc.ABC):
    """The machines that run for you."""

    object: ClassVar[str] = "machine"

    @abc.abstractmethod
    @expose(reads=True)
    def list(
        self,
        application: Annotated[
            str | int | None, "Only those of this application", Option(short="-a")
        ] = None,
    ) -> tuple[MachineInfo, ...]:
        """List the machines of your applications (administrators: of all)."""


class PluginsInfo(abc.ABC):
    """The plugins that the director has."""

    object: ClassVar[str] = "plugin"

    @abc.abstractmethod
    @expose(reads=True)
    def list(self) -> tuple[PluginInfo, ...]:
        """List the installed plugins, those that are broken with the reason."""


class Jobs(abc.ABC):
    """What runs in the background for you."""

    object: ClassVar[str] = "job"

    @abc.abstractmethod
    @expose(reads=True)
    def list(
        self,
        application: Annotated[
            str | int | None,
            "Of this application's manager (its services' jobs) instead of the director's",
            Option(short="-a"),
        ] = None,
    ) -> tuple[JobReport, ...]:
        """List the latest jobs, newest first."""

    @abc.abstractmethod
    @expose(reads=True)
    def get(
        self,
        job: Annotated[int, "Number of the job"],
        application: Annotated[
            str | int | None, "Of this application's manager", Option(short="-a")
        ] = None,
    ) -> JobReport:
        """Show one job."""


class Users(abc.ABC):
    """Your account."""

    object: ClassVar[str] = "user"

    @abc.abstractmethod
    @expose(reads=True)
    def get_config(self) -> UserInfo:
        """Show your account."""

    @abc.abstractmethod
    @expose(hidden=True)
    def create_token(self, name: Annotated[str, "What the token is for"] = "cps-tools") -> Secret:
        """Make an API token, which is shown this once."""

    @abc.abstractmethod
    @expose(hidden=True)
    def sign_certificate(self, csr: Annotated[str, "Signing request, PEM"]) -> Signed:
        """Issue a certificate for a key that the user's machine has made."""


#: The objects that users call, in the order of the help.
USER_API: tuple[type, ...] = (
    Applications,
    Services,
    Users,
    Clouds,
    Machines,
    PluginsInfo,
    Jobs,
)


# -- what managers call ---------------------------------------------------------------------------


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
