"""What a manager is told when its machine joins: ``/etc/conpaas/manager.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ManagerSection:
    """Who this manager is, and where its director is.

    ``takes_over`` is true when it replaces a manager whose machine was lost, so that nodes and
    jobs may still be there; false when the application has been started anew.
    """

    deployment: str
    director_url: str
    owner: int
    application: int
    machine: int
    address: str
    takes_over: bool = False


@dataclass(frozen=True)
class LimitsSection:
    """How much is allowed; sizes in bytes."""

    nodes_per_service: int = 100
    upload: int = 2 << 30
    unpacked: int = 4 << 30
    members: int = 100_000


@dataclass(frozen=True)
class WatchSection:
    """How nodes are watched, in seconds.

    ``every``: between two rounds.  ``lost_after``: without an answer, a node counts as lost.
    ``boot``: how long a new machine may take until its agent answers.  ``retry``: between two
    tries to replace a lost node.
    """

    every: float = 5.0
    lost_after: float = 20.0
    boot: float = 300.0
    retry: float = 60.0


@dataclass(frozen=True)
class ManagerConfig:
    """The whole file."""

    manager: ManagerSection
    limits: LimitsSection = field(default_factory=LimitsSection)
    watch: WatchSection = field(default_factory=WatchSection)
