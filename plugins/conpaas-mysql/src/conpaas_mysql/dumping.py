"""All the user's databases as SQL, by mariadb-dump."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO, cast

from conpaas.errors import AgentError, InvalidError
from conpaas_mysql.client import session
from conpaas_mysql.directories import administrator

#: The server's own databases; those whose tables exist in memory only are never dumped.
SYSTEM_DATABASES = ("mysql", "sys", "information_schema", "performance_schema")
_LAST_LINE = b"-- Dump completed"
_HEAD = (
    b"-- All databases of a ConPaaS MySQL service, as they were at one moment.\n"
    b"-- Not in it: accounts, their passwords and their rights.\n"
)
_NOTHING = b"-- There are no databases yet.\n"
_PIECE = 1 << 18
_VIEWS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN %s"
)
_VIEW_INVALID = 1356


def dump(socket: Path) -> Generator[bytes, None, None]:
    """Return the dump in pieces, read as the administrator; closed before its end, it is ended.

    It is consistent for tables of InnoDB, and keeps nobody from writing meanwhile.  The views are
    looked at and the first piece is there before this returns: most of what can fail has failed.

    Args:
        socket: Of the server.

    Raises:
        InvalidError: Views cannot be dumped: says which.
        AgentError: mariadb-dump failed, maybe after some of the pieces.
    """
    _check_views(socket)
    pieces = _pieces(socket)
    return _going_on(next(pieces), pieces)


def _going_on(first: bytes, pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    with contextlib.closing(pieces):
        yield first
        yield from pieces


def _pieces(socket: Path) -> Generator[bytes, None, None]:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(_command(socket), stdout=subprocess.PIPE, stderr=errors)
        with process:
            try:
                yield from _whole(process, errors)
            finally:
                process.kill()


def _whole(process: subprocess.Popen[bytes], errors: IO[bytes]) -> Generator[bytes, None, None]:
    output = cast("IO[bytes]", process.stdout)
    end, some = b"", False
    while piece := output.read(_PIECE):
        if not end:
            # The first line says that what follows must not use commands of the client.
            line, _, rest = piece.partition(b"\n")
            piece = line + b"\n" + _HEAD + rest
        some = some or b"\nCREATE DATABASE " in end + piece
        end = (end + piece)[-1000:]
        yield piece
    if process.wait() != 0 or not end.rstrip().rpartition(b"\n")[2].startswith(_LAST_LINE):
        errors.seek(0)
        told = errors.read(2000).decode(errors="replace").strip()
        raise AgentError(f"mariadb-dump failed: {told or f'it ended with {process.returncode}'}")
    if not some:
        yield _NOTHING


def _command(socket: Path) -> list[str]:
    return [
        "mariadb-dump",
        "--no-defaults",
        f"--user={administrator()}",
        f"--socket={socket}",
        "--single-transaction",
        "--quick",
        "--all-databases",
        *(f"--ignore-database={name}" for name in SYSTEM_DATABASES),
        *("--routines", "--events", "--triggers"),
        # Whatever a text may hold, it arrives; the text itself is UTF-8 as a whole.
        *("--hex-blob", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"),
        # Each of these would hold up the whole cluster while a dump is loaded.
        *("--skip-add-locks", "--skip-disable-keys", "--skip-no-autocommit"),
    ]


def _check_views(socket: Path) -> None:
    """Refuse views whose tables are gone: mariadb-dump would end at the first one."""
    import pymysql

    broken = []
    with session(socket, seconds=30.0) as connection:
        views = connection.rows(_VIEWS, (SYSTEM_DATABASES,))
        for database, view in views:
            try:
                connection.rows(f"SHOW FIELDS FROM {quoted(view)} FROM {quoted(database)}")
            except pymysql.Error as error:
                if error.args[0] != _VIEW_INVALID:
                    raise AgentError(f"the view {quoted(view)} cannot be read: {error}") from error
                broken.append(f"{quoted(database)}.{quoted(view)}")
    if broken:
        raise InvalidError(
            f"the view {', '.join(broken[:5])} cannot be dumped: it needs a table, a column, a "
            "function or an account that is gone; make that again, or drop the view"
        )


def quoted(name: str) -> str:
    """Return the name of a database, table or view as SQL has it."""
    return "`" + name.replace("`", "``") + "`"
