"""What applications run on: clouds, machines, plugins; and the jobs that run."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar

from conpaas.api.references import OnlyApplication
from conpaas.rpc import JobReport, expose
from conpaas.schema import Option


@dataclass(frozen=True)
class CloudInfo:
    """A row of ``cloud list``."""

    name: str
    driver: str
    default: bool
    sizes: str


class Clouds(abc.ABC):
    """The places that machines come from."""

    object: ClassVar[str] = "cloud"

    @abc.abstractmethod
    @expose(reads=True)
    def list(self) -> tuple[CloudInfo, ...]:
        """List the clouds that are configured."""


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


class Machines(abc.ABC):
    """The machines that run for you."""

    object: ClassVar[str] = "machine"

    @abc.abstractmethod
    @expose(reads=True)
    def list(
        self,
        application: OnlyApplication = None,
    ) -> tuple[MachineInfo, ...]:
        """List the machines of your applications (administrators: of all)."""


@dataclass(frozen=True)
class PluginInfo:
    """A row of ``plugin list``; ``state`` is "ok", or "broken" with the reason."""

    name: str
    distribution: str
    version: str
    state: str
    reason: str


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
