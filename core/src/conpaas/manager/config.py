"""What a manager is told when its machine joins: ``/etc/conpaas/manager.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import msgspec


@dataclass(frozen=True)
class ManagerSection:
    """Who this manager is, and where its director is."""

    deployment: Annotated[str, "Name of the director's deployment"]
    director_url: Annotated[str, "Where the director is"]
    owner: Annotated[int, "Number of the user whose application this is"]
    application: Annotated[int, "Number of the application"]
    machine: Annotated[int, "The director's number of this machine"]
    address: Annotated[str, "Of this machine"]
    takes_over: Annotated[
        bool,
        "True: it replaces a manager whose machine was lost, so that nodes and jobs may still be "
        "there; false: the application has been started anew",
    ] = False


@dataclass(frozen=True)
class LimitsSection:
    """How much is allowed; sizes in bytes."""

    nodes_per_service: Annotated[int, "Nodes of one service"] = 100
    upload: Annotated[int, "Of an archive that is uploaded"] = 2 << 30
    repository: Annotated[int, "Of an application's git repository, at most as much as upload"] = (
        1 << 30
    )
    data: Annotated[int, "Of a file of data that is loaded, such as a dump of a database"] = (
        10 << 30
    )
    unpacked: Annotated[int, "Of what an archive holds"] = 4 << 30
    members: Annotated[int, "Files and directories in an archive"] = 100_000
    backup: Annotated[int, "Of a backup that is kept by manager and director"] = 10 << 30
    volume: Annotated[int, "Of a volume, in MB"] = 1 << 20
    startup_script: Annotated[int, "Of the startup script of a service"] = 1 << 16
    startup_time: Annotated[int, "Seconds that a startup script may run"] = 900


@dataclass(frozen=True)
class WatchSection:
    """How nodes are watched, in seconds."""

    every: Annotated[float, "Between two rounds"] = 5.0
    lost_after: Annotated[float, "Without an answer, until a node counts as lost"] = 20.0
    boot: Annotated[float, "Until the agent of a new machine answers, at most"] = 300.0
    retry: Annotated[float, "Between two tries to replace a lost node"] = 60.0


@dataclass(frozen=True)
class MonitoringSection:
    """How the figures of nodes are collected."""

    every: Annotated[
        float, "Seconds between two times that a manager asks its nodes", msgspec.Meta(ge=1, le=60)
    ] = 5.0


@dataclass(frozen=True)
class ManagerConfig:
    """The whole file."""

    manager: ManagerSection
    limits: LimitsSection = field(default_factory=LimitsSection)
    watch: WatchSection = field(default_factory=WatchSection)
    monitoring: MonitoringSection = field(default_factory=MonitoringSection)
