"""How a database is doing, as its manager sees it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace

from conpaas.errors import UnreachableError
from conpaas_mysql import galera, starting
from conpaas_mysql.accounts import MONITOR
from conpaas_mysql.client import session
from conpaas_mysql.directories import Directories, bytes_in
from conpaas_mysql.donors import in_truth
from conpaas_mysql.mariadb import MariaDb
from conpaas_mysql.parts import DatabasePart, DatabaseStatus

#: So many starts within so many seconds are too many.
_STARTS, _WITHIN = 4, 60.0
#: Bytes that must be free on a volume, or as much of it: below, it counts as full.
_FREE, _FREE_SHARE = 32 << 20, 0.03
_ACCESS_DENIED = 1045
_LOCKED_OUT = (
    "somebody has changed the account of the database's administrator: it is mended when the "
    "database is started again"
)


def database_status(database: MariaDb, part: DatabasePart, wanted: bool) -> DatabaseStatus:
    """Look at a database; it takes a second or two at most.

    Args:
        database: The server.
        part: What it does.
        wanted: It shall run.
    """
    directories = database.directories
    if not directories.volume.is_dir():
        trouble = f"the volume {part.volume} is not mounted"
        return DatabaseStatus(
            False, database.is_running, False, 0, False, (), "", -1, False, 0, trouble
        )
    disk, running = shutil.disk_usage(directories.volume), database.is_running
    full = _fullness(directories, part, disk.total, disk.free, running)
    seen = _look(database) if running else _Seen()
    told = _of_member(seen.group, part) if seen.group else _of_silent(directories, running)
    if seen.group is not None:
        trouble = full or _lost(seen.group) or seen.locked_out
    else:
        trouble = full or (_trouble(database, seen.hangs) if running or wanted else "")
    return replace(
        told,
        has_data=starting.is_whole(directories),
        outdated=database.is_outdated,
        free=disk.free,
        trouble=trouble,
        used=used(directories),
        started=database.started,
    )


@dataclass(frozen=True)
class _Seen:
    """What a server says.

    Args:
        group: Of itself and the others; None when it does not answer.
        hangs: Why it does not.
        locked_out: That its administrator is not let in.
    """

    group: galera.Group | None = None
    hangs: str = ""
    locked_out: str = ""


def _look(database: MariaDb) -> _Seen:
    import pymysql

    try:
        group, locked_out = _ask(database)
    except UnreachableError as error:
        return _Seen(hangs=error.message)
    except (pymysql.Error, OSError) as error:
        return _Seen(hangs=f"the database does not tell its status: {error}")
    return _Seen(group, locked_out=locked_out)


def _of_member(group: galera.Group, part: DatabasePart) -> DatabaseStatus:
    """Return what one that answers says of itself; the rest is seen from outside."""
    names = {member.address: member.name for member in part.members}
    hosts = (address.rpartition(":")[0] for address in group.addresses)
    return DatabaseStatus(
        has_data=False,
        is_running=True,
        is_primary=group.is_primary,
        state=group.state,
        ready=group.ready,
        members=tuple(sorted(names.get(host, host) for host in hosts)),
        cluster=group.cluster,
        position=group.number,
        outdated=False,
        free=0,
    )


def _of_silent(directories: Directories, running: bool) -> DatabaseStatus:
    """Return what the files of one say that does not answer, or run."""
    left = galera.saved(directories.data)
    return DatabaseStatus(False, running, False, 0, False, (), left.cluster, -1, False, 0)


def _fullness(
    directories: Directories, part: DatabasePart, total: int, free: int, running: bool
) -> str:
    """Say that a volume is full; nothing when it is not."""
    # Room that was given up for a start is kept again as soon as there is some.
    kept = starting.renew_reserve(directories) or not running
    if free >= min(_FREE, total * _FREE_SHARE) and kept:
        return ""
    return (
        f"the volume {part.volume} is full ({free >> 20} MB of {total >> 20} MB are free): delete "
        "data, or have it grow"
    )


def _lost(group: galera.Group) -> str:
    """Say that a member has lost most of the others; nothing when it has not."""
    if group.is_primary:
        return ""
    if group.state == galera.DONOR:
        return "a copy of it was cut off, and it still waits for the end: it takes no queries"
    return "it has lost most of the cluster: it takes no queries"


def _ask(database: MariaDb) -> tuple[galera.Group, str]:
    """Return what the server says of itself, and whether its administrator is not let in."""
    import pymysql

    socket = database.directories.socket
    try:
        with session(socket) as connection:
            return in_truth(galera.group(connection), database.directories.data), ""
    except UnreachableError as error:
        cause = error.__cause__
        if not isinstance(cause, pymysql.Error) or cause.args[0] != _ACCESS_DENIED:
            raise
    # Users who make users may change this one.
    with session(socket, MONITOR, database.monitor_password) as connection:
        return in_truth(galera.group(connection), database.directories.data), _LOCKED_OUT


def used(directories: Directories) -> int:
    """Return how many bytes the data take: Galera's ring buffer beside it is never copied."""
    try:
        buffer = (directories.data / "galera.cache").lstat().st_blocks * 512
    except OSError:
        buffer = 0
    return max(0, bytes_in(directories.data) - buffer)


def _trouble(database: MariaDb, hangs: str) -> str:
    """Return what is wrong with a server that does not answer."""
    since = time.time() - _WITHIN
    starts = [at for at in starting.starts(database.directories) if at > since]
    if len(starts) >= _STARTS:
        return f"the database ends again and again: {why_it_ended(database)}"
    if not database.is_running:
        return "the database does not run"
    # A server on its way, or one that gets a copy, does not answer: that is no trouble.
    return hangs if database.directories.socket.exists() else ""


def why_it_ended(database: MariaDb) -> str:
    """Return the last error that the server told; first what a copy of the data failed by."""
    lines = database.last_words(60).splitlines()
    errors = [
        line
        for line in lines
        if ("[ERROR]" in line and not line.endswith("Aborting")) or "cannot be started" in line
    ]
    # What the server says afterwards is only that there was no copy.
    copying = [line for line in lines if "WSREP_SST: [ERROR]" in line]
    told = copying[:1] or errors[-1:] or lines[-1:] or ["it said nothing"]
    return told[0].strip()[:500]
