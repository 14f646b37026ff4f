"""MariaDB with Galera by hand, on machines as those of the service, configured as it configures.

The machines are bare instances with the nutshell's image, size and volumes.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pymysql
from harness import BenchError, wait_until
from machines import BareCloud, init_of

from conpaas.clouds.base import CloudMachine
from conpaas.errors import ConPaaSError
from conpaas_mysql.client import session
from conpaas_mysql.configuration import Configuration
from conpaas_mysql.directories import Directories

_PROGRAM = "/usr/sbin/mariadbd"
_VOLUME = 2048  #: MB
#: 4 when it has all data, and takes queries.
_STATE = """\
SELECT variable_value FROM information_schema.global_status
WHERE variable_name = 'wsrep_local_state'"""


@dataclass(frozen=True)
class _Machine:
    """A bare machine: its name in the cluster, its root as seen from here, its volume there."""

    name: str
    machine: CloudMachine
    root: Path
    volume: str

    @property
    def address(self) -> str:
        return str(self.machine.address)

    @property
    def directories(self) -> Directories:
        return Directories(Path("/"), Path(self.volume))

    def seen(self, path: Path) -> Path:
        """Return where a file of the machine is, seen from here."""
        return self.root / path.relative_to("/")


class BareGalera:
    """A machine whose server begins a cluster, and new ones whose servers join it in turn.

    Args:
        cloud: Where they are made.
        like: The address of a database of the service, the only one: whose configuration,
            certificates among it, they have.
    """

    def __init__(self, cloud: BareCloud, like: str) -> None:
        self._cloud = cloud
        self._like = like
        self._first = self._machine("mysql-1")
        self._server: subprocess.Popen[bytes] | None = None

    def create(self) -> float:
        """Set up a server and begin a cluster; return the seconds until it answered a query."""
        if self._server is not None:
            self._end(self._first, self._server)
        self._empty(self._first)
        begin = time.perf_counter()
        self._run(
            self._first,
            "mariadb-install-db", f"--defaults-file={self._first.directories.options_file}",
            "--user=mysql", "--skip-test-db", "--skip-name-resolve",
            "--auth-root-authentication-method=socket",
        )  # fmt: skip
        self._server = self._start(self._first, "--wsrep-new-cluster")
        return time.perf_counter() - begin

    def fill(self, there: int, megabytes: int) -> None:
        """Put data in: so many MB, of which some are there."""
        for statement in filling(there, megabytes):
            _rows(self._first, statement)

    def join(self) -> float:
        """Have another server join, and leave; return the seconds until it had all data."""
        machine = self._machine("mysql-2")
        begin = time.perf_counter()
        server = self._start(machine)
        wall = time.perf_counter() - begin
        self._end(machine, server)
        self._cloud.destroy(machine.machine)
        return wall

    def _machine(self, name: str) -> _Machine:
        machine = self._cloud.create(name)
        volume = self._cloud.attach_volume(machine, name, _VOLUME)
        root = Path(f"/proc/{self._cloud.init_of(machine)}/root")
        made = _Machine(name, machine, root, volume)
        self._configure(made)
        self._empty(made)
        return made

    def _configure(self, machine: _Machine) -> None:
        like = self._like
        ours, there = Path(f"/proc/{init_of(like)}/root"), machine.directories
        self._run(machine, "mkdir", "-p", str(there.configuration), str(there.files))
        for file in (ours / "etc/conpaas-mysql").iterdir():
            copy = machine.seen(there.configuration / file.name)
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o644)
        config = Configuration.read(machine.seen(there.options_file))
        before = str(Path(config.server["datadir"]).parent)
        options = {
            name: value.replace(before, machine.volume).replace(like, machine.address)
            for name, value in config.server.items()
        }
        first = machine.address if machine.name == "mysql-1" else self._first.address
        options["wsrep_cluster_address"] = f"gcomm://{first},{machine.address}"
        options["wsrep_node_name"] = machine.name
        config = replace(config, sections={**config.sections, "mysqld": options})
        machine.seen(there.options_file).write_text(config.text)

    def _empty(self, machine: _Machine) -> None:
        there = machine.directories
        own = [str(there.data), str(there.temporary), str(there.cache), str(there.server_run)]
        self._run(machine, "rm", "-rf", *own)
        self._run(machine, "install", "-d", "-o", "mysql", "-g", "mysql", *own)

    def _start(self, machine: _Machine, *more: str) -> subprocess.Popen[bytes]:
        options = machine.directories.options_file
        server = subprocess.Popen(
            self._cloud.command(machine.machine, _PROGRAM, f"--defaults-file={options}", *more),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: _state(machine) == "4", f"the bare {machine.name} is no member")
        return server

    def _end(self, machine: _Machine, server: subprocess.Popen[bytes]) -> None:
        self._run(machine, "pkill", "-x", "mariadbd")
        server.wait(60)

    def _run(self, machine: _Machine, *words: str) -> None:
        command = self._cloud.command(machine.machine, *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{words[0]}: {done.stdout}{done.stderr}")


def _state(machine: _Machine) -> str:
    # Until it listens, and while it has no data, it answers nothing.
    with contextlib.suppress(ConPaaSError, pymysql.err.MySQLError):
        ((value,),) = _rows(machine, _STATE)
        return str(value)
    return ""


def _rows(machine: _Machine, statement: str) -> list[tuple[object, ...]]:
    with session(machine.seen(machine.directories.socket), "", "", seconds=20.0) as connection:
        return connection.rows(statement)


def filling(there: int, megabytes: int) -> list[str]:
    """Return statements that make so many MB of what is there: 16 rows for each, no two alike."""
    row = "REPEAT(MD5(RAND()), 2048)"
    rows = ",".join([f"({row})"] * 16)
    columns = "id INT AUTO_INCREMENT PRIMARY KEY, content MEDIUMTEXT"
    return [
        "CREATE DATABASE IF NOT EXISTS filled",
        f"CREATE TABLE IF NOT EXISTS filled.rows ({columns})",
        *[f"INSERT INTO filled.rows (content) VALUES {rows}"] * (megabytes - there),
    ]
