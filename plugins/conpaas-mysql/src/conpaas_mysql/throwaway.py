"""A database server that is thrown away: for trying whether a backup can be read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conpaas.errors import AgentError, InvalidError, UnreachableError
from conpaas_mysql.client import session
from conpaas_mysql.directories import SERVER_USER, administrator, give
from conpaas_mysql.dumping import SYSTEM_DATABASES, quoted

_BEGINS = "trial-"
_START_TIMEOUT = 60.0
#: Seconds that one statement may take: a large table is read as a whole.
_STATEMENT_TIMEOUT = 6 * 3600.0
#: It ends with the process that holds its standard input, however that ends, and cleans up then.
_KEEPER = """
trap '' TERM INT HUP
"$@" > "$TRIAL/log" 2>&1 < /dev/null &
server=$!
cat > /dev/null
kill -KILL $server
wait $server 2> /dev/null
rm -rf "$TRIAL"
"""


@contextmanager
def throwaway(base: Path) -> Iterator[Path]:
    """Run a new, empty server, and give the path of its socket; it goes with all it has.

    It listens to nobody else and belongs to no cluster.  When this process is killed, it goes too;
    what a dead machine leaves of one is removed by :func:`clear_away`.

    Args:
        base: A directory with room for the data.

    Raises:
        AgentError: It does not start.
    """
    # A short name: the path of a socket may have 107 characters.
    trial = Path(tempfile.mkdtemp(prefix=_BEGINS, dir=base))
    try:
        give(trial)
        trial.chmod(0o750)
        (trial / "files").mkdir()
        _install(trial)
        with _running(trial):
            yield trial / "socket"
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def clear_away(base: Path) -> None:
    """Remove what is left of trials; none may be at work."""
    for left in base.glob(f"{_BEGINS}*"):
        shutil.rmtree(left, ignore_errors=True)


def examine(socket: Path) -> str:
    """Read every table of a server as a whole, and tell how much there is.

    Raises:
        InvalidError: One is damaged; in the server's words.
    """
    with session(socket, seconds=_STATEMENT_TIMEOUT) as connection:
        databases = connection.rows(_DATABASES, (SYSTEM_DATABASES,))
        tables = connection.rows(_TABLES, (SYSTEM_DATABASES,))
        rows = 0
        for database, table, kind in tables:
            name = f"{quoted(database)}.{quoted(table)}"
            if kind == "VIEW":
                continue  # it has nothing of its own, and depends on accounts
            for *_, what, told in connection.rows(f"CHECK TABLE {name} EXTENDED"):
                if what.lower() == "error" or (what == "status" and told != "OK"):
                    raise InvalidError(f"the backup is broken: {name}: {told}")
            # The name is quoted, and comes from the server itself.
            ((count,),) = connection.rows(f"SELECT COUNT(*) FROM {name}")  # noqa: S608
            rows += count
    return (
        f"{_some(len(databases), 'database')}, {_some(len(tables), 'table')}, {_some(rows, 'row')}"
    )


def _install(trial: Path) -> None:
    answer = subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={trial / 'data'}",
            *_user(),
            *("--skip-test-db", "--skip-name-resolve"),
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={administrator()}",
            *_SMALL,
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if answer.returncode != 0:
        raise AgentError(f"no server can be set up for the trial: {answer.stderr[-1000:]}")


@contextmanager
def _running(trial: Path) -> Iterator[None]:
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", *_command(trial)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "TRIAL": str(trial)},
        start_new_session=True,
    )
    with keeper:
        try:
            _wait_for(trial)
            yield
        finally:
            if keeper.stdin is not None:
                with contextlib.suppress(OSError):
                    keeper.stdin.close()
            keeper.wait()


def _wait_for(trial: Path) -> None:
    until = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            with session(trial / "socket"):
                return
        except UnreachableError as error:
            log = _log(trial)
            if time.monotonic() > until or "[ERROR] Aborting" in log:
                raise AgentError(
                    f"the server of the trial does not start: {log[-1000:]}"
                ) from error
        time.sleep(0.05)


def _log(trial: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (trial / "log").read_text(errors="replace")
    return ""


def _command(trial: Path) -> list[str]:
    return [
        "mariadbd",
        "--no-defaults",
        f"--datadir={trial / 'data'}",
        f"--socket={trial / 'socket'}",
        f"--pid-file={trial / 'pid'}",
        f"--tmpdir={trial}",
        f"--secure-file-priv={trial / 'files'}",
        *_user(),
        *("--skip-networking", "--wsrep-on=OFF", "--skip-log-bin", "--event-scheduler=OFF"),
        *("--local-infile=OFF", "--max-allowed-packet=1G", "--character-set-server=utf8mb4"),
        "--log-bin-trust-function-creators=ON",
        # Nobody misses it if the machine dies.
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF"),
        *_SMALL,
    ]


def _user() -> list[str]:
    return [f"--user={SERVER_USER}"] if os.geteuid() == 0 else []


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


_SMALL = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=8M",
    "--max-connections=5",
)
_DATABASES = (
    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN %s "
    "ORDER BY SCHEMA_NAME"
)
_TABLES = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES "
    "WHERE TABLE_SCHEMA NOT IN %s ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
