"""How a database is doing, as its manager sees it."""

from __future__ import annotations

import shutil
import time

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
    import pymysql

    directories = database.directories
    if not directories.volume.is_dir():
        trouble = f"the volume {part.volume} is not mounted"
        return DatabaseStatus(
            False, database.is_running, False, 0, False, (), "", -1, False, 0, trouble
        )
    disk = shutil.disk_usage(directories.volume)
    full, running = "", database.is_running
    # Room that was given up for a start is kept again as soon as there is some.
    kept = starting.renew_reserve(directories) or not running
    if disk.free < min(_FREE, disk.total * _FREE_SHARE) or not kept:
        full = (
            f"the volume {part.volume} is full ({disk.free >> 20} MB of {disk.total >> 20} MB are "
            "free): delete data, or have it grow"
        )
    group, hangs, locked_out = None, "", ""
    if running:
        try:
            group, locked_out = _ask(database)
        except UnreachableError as error:
            hangs = error.message
        except (pymysql.Error, OSError) as error:
            hangs = f"the database does not tell its status: {error}"
    if group is None:
        left = galera.saved(directories.data)
        return DatabaseStatus(
            has_data=starting.is_whole(directories),
            is_running=running,
            is_primary=False,
            state=0,
            ready=False,
            members=(),
            cluster=left.cluster,
            position=-1,
            outdated=database.is_outdated,
            free=disk.free,
            trouble=full or (_trouble(database, hangs) if running or wanted else ""),
            used=_used(directories),
            started=database.started,
        )
    names = {member.address: member.name for member in part.members}
    hosts = (address.rpartition(":")[0] for address in group.addresses)
    lost = ""
    if not group.is_primary:
        lost = "it has lost most of the cluster: it takes no queries"
        if group.state == galera.DONOR:
            lost = "a copy of it was cut off, and it still waits for the end: it takes no queries"
    return DatabaseStatus(
        has_data=starting.is_whole(directories),
        is_running=True,
        is_primary=group.is_primary,
        state=group.state,
        ready=group.ready,
        members=tuple(sorted(names.get(host, host) for host in hosts)),
        cluster=group.cluster,
        position=group.number,
        outdated=database.is_outdated,
        free=disk.free,
        trouble=full or lost or locked_out,
        used=_used(directories),
        started=database.started,
    )


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


def _used(directories: Directories) -> int:
    """Return what the data takes: Galera's ring buffer beside it is never copied."""
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
