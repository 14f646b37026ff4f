"""What a manager tells a node, and what a node tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MYSQL_PORT = 3306  #: of databases and of balancers
GROUP_PORT = 4567  #: group communication of Galera
INCREMENTAL_PORT = 4568  #: incremental state transfer (IST)
SNAPSHOT_PORT = 4444  #: state snapshot transfer (SST)
HEALTH_PORT = 9200  #: answers 200 on a database that takes queries, else 503
BALANCER_STATUS_PORT = 8404  #: haproxy's own metrics, on the loopback interface only
USER = "mysqldb"  #: the user's account, and the system user that may use it locally

#: How a joining node gets its data when it lacks too much of it.
Transfer = Literal["rsync", "mariabackup"]


@dataclass(frozen=True)
class Member:
    """A database of the cluster; its name (``mysql-1``) tells the position, and outlives machines."""

    name: str
    address: str


@dataclass(frozen=True)
class DatabasePart:
    """What a database node does.

    Args:
        cluster: Name of the Galera cluster.
        name: Of this member.
        members: All members, itself included, sorted by name.
        volume: Name of the volume that its data is on, mounted at ``/media/<volume>``.
        settings: Of MariaDB, as its configuration file writes them; checked by the manager.
        transfer: How whole copies are made.
    """

    cluster: str
    name: str
    members: tuple[Member, ...]
    volume: str
    settings: dict[str, str]
    transfer: Transfer


@dataclass(frozen=True)
class ClusterSecrets:
    """What the members of one cluster share and nobody else knows.

    Args:
        transfer_password: Of the account that copies are made with.
        monitor_password: Of the account that only reads the status.
        certificate: PEM; with ``key`` and ``authority`` it is how members know each other.
        key: PEM, not encrypted.
        authority: PEM of the cluster's own authority: who has no certificate of it cannot join.
    """

    transfer_password: str
    monitor_password: str
    certificate: str
    key: str
    authority: str


@dataclass(frozen=True)
class DatabaseStatus:
    """How a database is.

    Args:
        has_data: There is a data directory that was set up, or received, as a whole.
        is_running: The server runs (it may not be ready).
        is_primary: It belongs to the primary component: it may take queries.
        state: Galera's ``wsrep_local_state``: 1 joining, 2 donor, 3 joined, 4 synced; 0 not running.
        ready: It takes queries now.
        members: Names of the members that it sees, itself included, sorted; empty when none.
        cluster: Galera's id (UUID) of the state; empty when it is not known.
        position: The last transaction that it has (``seqno``); -1 when it is not known: ask
            ``recover_position`` of a server that does not run.
        outdated: It runs with other settings than it was told, until it is started again.
        free: Bytes that are free on its volume.
        trouble: What is wrong, in a sentence for people; empty when nothing is.
    """

    has_data: bool
    is_running: bool
    is_primary: bool
    state: int
    ready: bool
    members: tuple[str, ...]
    cluster: str
    position: int
    outdated: bool
    free: int
    trouble: str = ""


@dataclass(frozen=True)
class Position:
    """What a database that does not run would begin with.

    Args:
        cluster: Galera's id (UUID) of the state; empty when there is none.
        number: The last transaction that it has (``seqno``); -1 when there is none.
        was_last: It was the last one to leave when all had left in order (``safe_to_bootstrap``).
    """

    cluster: str
    number: int
    was_last: bool


@dataclass(frozen=True)
class BalancerPart:
    """What a balancer (``glb``) does.

    Args:
        servers: Databases that it sends connections to, sorted by name.
        single_writer: All connections go to the first that is healthy; the others stand by.
    """

    servers: tuple[Member, ...]
    single_writer: bool
    connections: int = 2000


@dataclass(frozen=True)
class LoadReport:
    """What became of a dump that was loaded.

    Args:
        size: Bytes of SQL, unpacked.
        seconds: That it took.
        note: What to know of the tables that are there now; empty when all are as they should.
    """

    size: int
    seconds: float
    note: str = ""
