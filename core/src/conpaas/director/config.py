"""The director's configuration: ``/etc/conpaas/director.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from conpaas.manager.config import LimitsSection, MonitoringSection, WatchSection

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
class AccountsSection:
    """Who may have an account, and how long what they log in with lasts; times in seconds."""

    registration: Annotated[
        Literal["open", "invitation", "closed"], "Who may register: all, who is invited, nobody"
    ] = "invitation"
    session_idle: Annotated[float, "Until a session of the frontend that is not used ends"] = (
        8 * 3600.0
    )
    session_lifetime: Annotated[float, "Until every session ends"] = 7 * 86400.0


@dataclass(frozen=True)
class CreditsSection:
    """What machines cost: one credit for each started hour."""

    charge: Annotated[bool, "Whether users are charged at all"] = True
    initial_credit: Annotated[int, "What a user has after registering"] = 50
    warn_below: Annotated[int, "Credit at which a user is warned"] = 10


@dataclass(frozen=True)
class FrontendSection:
    """The web pages."""

    enabled: Annotated[bool, "Whether they are served here, beside the API"] = True
    threads: Annotated[int, "Threads that answer browsers"] = 16
    metrics_token: Annotated[str, "Whoever shows it may read /metrics; empty: nobody"] = ""


@dataclass(frozen=True)
class DirectorConfig:
    """The whole file; ``clouds`` has a section for each cloud, its keys are its driver's."""

    director: DirectorSection
    machines: MachinesSection = field(default_factory=MachinesSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    watch: WatchSection = field(default_factory=WatchSection)
    monitoring: MonitoringSection = field(default_factory=MonitoringSection)
    accounts: AccountsSection = field(default_factory=AccountsSection)
    credits: CreditsSection = field(default_factory=CreditsSection)
    frontend: FrontendSection = field(default_factory=FrontendSection)
    clouds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The directory of everything that must not be lost."""
        return Path(self.director.data_dir)

    @property
    def run(self) -> Path:
        """The directory of sockets."""
        return Path(self.director.run_dir)
