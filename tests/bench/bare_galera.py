"""MariaDB with Galera by hand on this machine, configured as the service configures it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pymysql
from harness import BenchError, wait_until

from conpaas.errors import ConPaaSError
from conpaas_mysql.testing import Databases, Node

_PROGRAM = "/usr/sbin/mariadbd"
#: 4 when it has all data, and takes queries.
_STATE = """\
SELECT variable_value FROM information_schema.global_status
WHERE variable_name = 'wsrep_local_state'"""


class BareGalera:
    """Two servers at most: one that begins a cluster, and one that joins it."""

    def __init__(self) -> None:
        # On the disk that machines are on, not in memory.
        self._directory = Path(tempfile.mkdtemp(prefix="conpaas-bench-", dir="/var/tmp"))
        self._directory.chmod(0o755)
        self._first: tuple[Databases, Node, subprocess.Popen[bytes]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        shutil.rmtree(self._directory)

    def create(self) -> float:
        """Set up a server and begin a cluster; return the seconds until it answered a query."""
        self._end()
        databases = Databases(self._directory)
        node = databases.machine()
        _configure(databases, node)
        begin = time.perf_counter()
        options = str(node.root / "etc/conpaas-mysql/mariadb.cnf")
        done = subprocess.run(
            [
                "mariadb-install-db", f"--defaults-file={options}", "--user=mysql",
                "--skip-test-db", "--skip-name-resolve",
                "--auth-root-authentication-method=socket",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"mariadb-install-db: {done.stdout}{done.stderr}")
        server = _start(node, "--wsrep-new-cluster")
        self._first = databases, node, server
        wait_until(lambda: _asks(node, _STATE) == "4", "the bare database does not answer")
        return time.perf_counter() - begin

    def fill(self, megabytes: int) -> None:
        """Put data in."""
        assert self._first is not None
        for statement in filling(megabytes):
            self._first[1].rows(statement)

    def join(self) -> float:
        """Have another server join, and leave; return the seconds until it had all data."""
        assert self._first is not None
        databases, *_ = self._first
        node = databases.machine()
        _configure(databases, node)
        data = node.volume / "data"
        data.mkdir()
        shutil.chown(data, "mysql")
        begin = time.perf_counter()
        server = _start(node)
        wait_until(lambda: _asks(node, _STATE) == "4", "the bare database has not joined")
        wall = time.perf_counter() - begin
        server.terminate()
        server.wait(60)
        databases.nodes.remove(node)
        shutil.rmtree(node.root)
        return wall

    def _end(self) -> None:
        if self._first is not None:
            _, node, server = self._first
            server.kill()
            server.wait()
            shutil.rmtree(node.root)
            self._first = None


def _configure(databases: Databases, node: Node) -> None:
    """Have a configuration written, and nothing else: what was begun with it is ended."""
    node.agent.configure_database(databases.part(node, databases.nodes), databases.secrets)
    node.supervisor.shutdown()


def _start(node: Node, *more: str) -> subprocess.Popen[bytes]:
    options = node.root / "etc/conpaas-mysql/mariadb.cnf"
    with (node.root / "server.log").open("wb") as log:
        return subprocess.Popen(
            [_PROGRAM, f"--defaults-file={options}", *more],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def _asks(node: Node, statement: str) -> str:
    # Until it listens, and while it has no data, it answers nothing.
    with contextlib.suppress(ConPaaSError, pymysql.err.MySQLError):
        ((value,),) = node.rows(statement)
        return str(value)
    return ""


def filling(megabytes: int) -> list[str]:
    """Return statements that make so much data: 16 rows for each MB, no two alike."""
    row = "REPEAT(MD5(RAND()), 2048)"
    rows = ",".join([f"({row})"] * 16)
    return [
        "CREATE DATABASE filled",
        "CREATE TABLE filled.rows (id INT AUTO_INCREMENT PRIMARY KEY, content MEDIUMTEXT)",
        *[f"INSERT INTO filled.rows (content) VALUES {rows}"] * megabytes,
    ]
