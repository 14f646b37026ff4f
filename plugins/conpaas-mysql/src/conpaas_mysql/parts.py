"""What a manager tells a node, and what a node tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MYSQL_PORT = 3306  #: of databases and of balancers
GROUP_PORT = 4567  #: group communication of Galera
INCREMENTAL_PORT = 4568  #: incremental state transfer (IST)
SNAPSHOT_PORT = 4444  #: state snapshot transfer (SST)
HEALTH_PORT = 9200  #: answers 200 on a database that takes queries, else 503
USER = "mysqldb"  #: the user's account, and the system user that may use it locally

#: How a joining node gets its data when it lacks too much of it.
Transfer = Literal["rsync", "mariabackup"]


def member_name(position: int) -> str:
    """Return the name of the database at a position."""
    return f"mysql-{position + 1}"


def data_volume(service: int, position: int) -> str:
    """Return the name of the volume with the data of the database at a position."""
    return f"mysql-{service}-{position + 1}"


@dataclass(frozen=True)
class Member:
    """A database of the cluster; its name (``mysql-1``) is of its position, not its machine."""

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
        state: Galera's ``wsrep_local_state``: 1 joining, 2 donor, 3 joined, 4 synced; 0: does not
            run.  A donor that is not primary waits in vain for the end of a copy.
        ready: It takes queries now.
        members: Names of the members that it sees, itself included, sorted; empty when none.
        cluster: Galera's id (UUID) of the state; empty when it is not known.
        position: The last transaction that it has (``seqno``) if it runs and has belonged to a
            primary component since it was started; else -1: stop it and ask ``recover_position``.
        outdated: It runs with other settings than it was told, until it is started again.
        free: Bytes that are free on its volume.
        trouble: What is wrong, in a sentence for people; empty when nothing is.
        used: Bytes that its data takes.
        started: When the server that runs was started, in seconds since 1970, to a tenth; 0 when
            none runs.  Its metrics tell the same as ``conpaas_mysql_started_seconds``.
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
    used: int = 0
    started: float = 0.0


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
        connections: At most, of all clients; who comes above that is turned away.
    """

    servers: tuple[Member, ...]
    single_writer: bool
    connections: int = 2000


@dataclass(frozen=True)
class BalancedServer:
    """How a balancer sees a database.

    Args:
        name: Of the database.
        address: Likewise.
        is_up: It passes its health check, so that it gets connections.
        is_drained: It gets no new ones, because ``drain_server`` was told so.
        connections: It has now, through this balancer.
    """

    name: str
    address: str
    is_up: bool
    is_drained: bool
    connections: int


@dataclass(frozen=True)
class BalancerStatus:
    """How a balancer is; ``connections`` are those of all its clients."""

    is_running: bool
    connections: int
    servers: tuple[BalancedServer, ...]


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
