"""Applications and their services, as their users see them."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar

from conpaas.api.references import ApplicationRef, CloudOption, OnlyApplication, ServiceRef
from conpaas.logs import After, Lines
from conpaas.names import Name
from conpaas.rpc import Job, Piece, expose
from conpaas.schema import Option
from conpaas.state import STARTABLE, State


@dataclass(frozen=True)
class Change:
    """A change of state; ``time`` as ISO 8601 in UTC."""

    time: str
    state: str
    reason: str


@dataclass(frozen=True)
class ApplicationInfo:
    """A row of ``application list``; ``manager`` is the address of its manager."""

    aid: int
    name: str
    manager: str | None
    cloud: str | None
    status: str


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
        costs=True,
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
        "Its services' definitions, code, settings and volumes are kept.",
    )
    def stop(
        self,
        application: ApplicationRef,
        unsaved: Annotated[bool, "Give up what machines keep and cannot be saved"] = False,
    ) -> Job[ApplicationInfo]:
        """Stop an application and all its services, keeping their definitions and code."""

    @abc.abstractmethod
    @expose(
        meanwhile=State.EPILOGUE,
        otherwise=State.ERROR,
        resumes=True,
        preempts=True,
        done="Application '{name}' with id {aid} has been deleted.",
        confirm="The application, its services, their code and all their data are lost, "
        "with the volumes and what is on them.",
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
    @expose(reads=True, follow="read_log")
    def get_log(self, application: ApplicationRef, lines: Lines = 1000) -> str:
        """Show the end of the log of the application's manager."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def read_log(
        self, application: ApplicationRef, lines: Lines = 1000, after: After = None
    ) -> Piece:
        """Return what the log of the application's manager has grown by."""


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
        application: OnlyApplication = None,
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
        confirm="The service, its code, its backups and all its data are lost, with its volumes "
        "and what is on them. Download first what shall be kept: code, or a dump.",
    )
    def remove(self, application: ApplicationRef, service: ServiceRef) -> Job[ServiceInfo]:
        """Stop a service and remove it with all that belongs to it."""
