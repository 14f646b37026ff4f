"""Waits for a server that is on its way into the cluster."""

from __future__ import annotations

import time

import pymysql

from conpaas.errors import AgentError, UnreachableError
from conpaas.rpc import Job, Progress
from conpaas_mysql import galera
from conpaas_mysql.client import session
from conpaas_mysql.directories import bytes_in
from conpaas_mysql.donors import is_forgotten
from conpaas_mysql.mariadb import MariaDb
from conpaas_mysql.status import why_it_ended

#: Seconds without any progress after which it is given up.
PATIENCE = 120.0
#: How often the server may end on its way: the one that it gets a copy from may die.
RESTARTS = 6
#: Between two looks pass so many of the seconds that it has taken, but at least and at most these.
_SHARE, _PAUSE, _LONG_PAUSE = 0.02, 0.05, 0.5
#: Seconds between two times that the data is measured.
_MEASURE = 1.0
#: So many times, so many seconds apart, a donor is looked at before it counts as forgotten.
_LOOKS, _BETWEEN = 5, 0.5


def until_synced(
    database: MariaDb, patience: float = PATIENCE, restarts: int = RESTARTS
) -> Job[None]:
    """Wait until a server has all that the others have and takes queries.

    Args:
        database: The server, which runs or is started again and again.
        patience: Seconds without any progress.
        restarts: How often it may end on its way.

    Raises:
        AgentError: It does not get there; tells the last words of its log.
    """
    seen, received, measure_at = object(), 0, 0.0
    ended, pid = 0, database.pid
    began = time.monotonic()
    until = began + patience
    while True:
        group = _group(database)
        if group is not None and group.is_primary and group.ready and group.state == galera.SYNCED:
            return
        if time.monotonic() >= measure_at:
            received = bytes_in(database.directories.data)
            measure_at = time.monotonic() + _MEASURE
        now = (group, received)
        if now != seen:
            seen, until = now, time.monotonic() + patience
        present = database.pid
        if present != pid:
            ended, pid = ended + (pid is not None), present
        if ended > restarts:
            how = "again and again" if restarts else "at once"
            raise AgentError(f"the database ends {how}; its last words:\n{_words(database)}")
        if time.monotonic() > until:
            raise AgentError(f"the database does not get on; its last words:\n{_words(database)}")
        # Each time: only there can it be stopped, as by who knows that nothing will come.
        yield Progress(min(90, 10 + ended), _in_words(group, received))
        time.sleep(min(max(_PAUSE, _SHARE * (time.monotonic() - began)), _LONG_PAUSE))


def stays_forgotten(database: MariaDb) -> Job[bool]:
    """Wait whether Galera has forgotten a server as a donor, or will only just notice."""
    for _ in range(_LOOKS):
        group = _group(database)
        if group is None or not is_forgotten(group, database.directories.data):
            return False
        yield Progress(5, "looking whether the end of a copy is noticed")
        time.sleep(_BETWEEN)
    return True


def _group(database: MariaDb) -> galera.Group | None:
    try:
        with session(database.directories.socket) as connection:
            return galera.group(connection)
    except (UnreachableError, pymysql.Error, OSError):
        return None


def _words(database: MariaDb) -> str:
    return "\n".join([why_it_ended(database), "...", database.last_words()])


def _in_words(group: galera.Group | None, received: int) -> str:
    if group is None:
        return f"the database gets the data: {received >> 20} MB"
    if not group.is_primary:
        return "the database waits for the other members"
    return f"the database catches up with the others: {group.comment or 'joining'}"
