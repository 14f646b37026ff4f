"""The director's configuration: ``/etc/conpaas/director.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from conpaas.manager.config import LimitsSection, WatchSection

DEFAULT_PATH = Path("/etc/conpaas/director.toml")


@dataclass(frozen=True)
class DirectorSection:
    """The director itself."""

    name: Annotated[str, "Name of this deployment: in every machine's name, tag and certificate"]
    url: Annotated[str, "Where clients and machines reach it, with scheme and port"]
    listen: Annotated[tuple[str, ...], "Addresses with port that it listens on"] = (
        "0.0.0.0:5555",
    )
    data_dir: Annotated[str, "Database, authority and what managers handed over"] = (
        "/var/lib/conpaas/director"
    )
    run_dir: Annotated[str, "Sockets"] = "/run/conpaas/director"
    database_url: Annotated[str, "Empty: SQLite in data_dir; or postgresql://…"] = ""
    workers: Annotated[int, "Processes that answer requests"] = 2
    threads: Annotated[int, "Threads in each of them"] = 8
    job_workers: Annotated[int, "Jobs that run at once on this host"] = 8
    default_cloud: Annotated[str, "Name of the cloud to take when none is named"] = "local"
    plugins: Annotated[tuple[str, ...], "Plugins to load; none named: all"] = ()


@dataclass(frozen=True)
class MachinesSection:
    """How machines come to life; times in seconds."""

    boot_timeout: Annotated[float, "Until a new machine has joined"] = 300.0
    token_lifetime: Annotated[float, "Of the token with which it joins"] = 900.0
    certificate_lifetime: Annotated[float, "Of its certificate, renewed before that"] = 86400.0
    sweep_age: Annotated[float, "Age at which a machine that no record knows is removed"] = 60.0


@dataclass(frozen=True)
class DirectorConfig:
    """The whole file; ``clouds`` has a section for each cloud, its keys are its driver's."""

    director: DirectorSection
    machines: MachinesSection = field(default_factory=MachinesSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    watch: WatchSection = field(default_factory=WatchSection)
    clouds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The directory of everything that must not be lost."""
        return Path(self.director.data_dir)

    @property
    def run(self) -> Path:
        """The directory of sockets."""
        return Path(self.director.run_dir)
