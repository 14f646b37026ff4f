"""SQL over the server's socket."""

from __future__ import annotations

import socket as socket_module
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conpaas.errors import UnreachableError
from conpaas_mysql.directories import administrator

if TYPE_CHECKING:
    import pymysql

#: Seconds until a server that does not answer counts as one that hangs.
TIMEOUT = 1.0


class Session:
    """A connection to the server of this machine."""

    def __init__(self, connection: pymysql.Connection[Any]) -> None:
        self._connection = connection

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Carry out a statement, and return how many rows it changed."""
        with self._connection.cursor() as cursor:
            return int(cursor.execute(statement, values or None))

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def status(self, pattern: str) -> Mapping[str, str]:
        """Return figures of the server by name; it tells them in any state."""
        return {str(name): str(value) for name, value in self.rows(_STATUS, (pattern,))}

    def variable(self, name: str) -> str:
        """Return a global variable of the server."""
        return str(self.rows("SHOW GLOBAL VARIABLES WHERE Variable_name = %s", (name,))[0][1])


@contextmanager
def session(
    socket: Path,
    user: str = "",
    password: str = "",
    seconds: float = TIMEOUT,
) -> Iterator[Session]:
    """Connect to the server, by default as its administrator.

    Args:
        socket: Of the server.
        user: Of the server; default: the administrator.
        password: Likewise.
        seconds: That any answer may take.

    Raises:
        UnreachableError: It does not answer, or refuses; errors of statements are pymysql's own.
    """
    connection = connect(socket, user or administrator(), password, seconds)
    try:
        yield Session(connection)
    finally:
        connection.close()


def connect(
    socket: Path, user: str, password: str, seconds: float = TIMEOUT
) -> pymysql.Connection[Any]:
    """Connect to the server; whoever does it closes the connection.

    Raises:
        UnreachableError: It does not answer, or refuses.
    """
    # Late: clients import the agent's file, and need none of this.
    import pymysql

    connection: pymysql.Connection[Any] = pymysql.connect(
        user=user,
        password=password,
        autocommit=True,
        ssl_disabled=True,
        charset="utf8mb4",
        read_timeout=seconds,
        write_timeout=seconds,
        # Of what is here now; the server's own tables can be read in any state.
        init_command="SET SESSION wsrep_sync_wait = 0, wsrep_dirty_reads = ON",
        defer_connect=True,
    )
    # A socket of our own: where nobody listens, pymysql leaves its own open.
    way = socket_module.socket(socket_module.AF_UNIX, socket_module.SOCK_STREAM)
    way.settimeout(seconds)
    try:
        way.connect(str(socket))
        way.settimeout(None)
        connection.connect(way)
    except (pymysql.Error, OSError) as error:
        way.close()
        raise UnreachableError(f"the database does not answer: {error}") from error
    return connection


_STATUS = "SHOW GLOBAL STATUS WHERE Variable_name LIKE %s"
