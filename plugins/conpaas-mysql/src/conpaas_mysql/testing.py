"""Databases on this machine: real MariaDB servers with Galera on loopback addresses."""

from __future__ import annotations

import io
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conpaas.rpc import Upload, finish
from conpaas.testing.node import LoneNode
from conpaas.testing.waiting import eventually as eventually
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.client import Session, session
from conpaas_mysql.parts import ClusterSecrets, DatabasePart, DatabaseStatus, Member, Transfer
from conpaas_mysql.secrets import new_secrets

# Each process that runs tests at the same time has a network of its own.
_NETWORK = f"127.{20 + os.getpid() % 230}.{os.getpid() // 230 % 250}"
_addresses = itertools.count()
_clusters = itertools.count(1)
#: Small, so that tests are quick and take little room.
SMALL = {
    "innodb_buffer_pool_size": "32M",
    "innodb_log_file_size": "8M",
    "max_connections": "40",
    "wsrep_slave_threads": "2",
    "gcache.size": "8M",
    "gcache.page_size": "2M",
}


def new_address() -> str:
    """Return an address of this machine that nobody else here has."""
    return f"{_NETWORK}.{next(_addresses) % 253 + 2}"


def in_parallel(*actions: Callable[[], object]) -> None:
    """Do several things at once; what any of them raises is raised."""
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()


def freeze(found: Callable[[list[str]], bool]) -> list[int]:
    """Have processes of a transfer stand still as soon as there are any; return their numbers."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        numbers = []
        for directory in Path("/proc").iterdir():
            if not directory.name.isdecimal():
                continue
            try:
                words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if found(words):
                os.kill(int(directory.name), signal.SIGSTOP)
                numbers.append(int(directory.name))
        if numbers:
            return numbers
    raise TimeoutError("no transfer has begun")


def thaw(numbers: list[int]) -> None:
    """Have processes go on."""
    for number in numbers:
        try:
            os.kill(number, signal.SIGCONT)
        except ProcessLookupError:
            continue  # it has ended


def sends_rsync(*volumes: Path) -> Callable[[list[str]], bool]:
    """Tell the processes by which databases on any of these volumes are sent."""

    def found(words: list[str]) -> bool:
        return (
            Path(words[0]).name == "rsync"
            and "--recursive" in words
            and any(str(volume) in word for volume in volumes for word in words)
        )

    return found


class Node(LoneNode[MysqlAgent]):
    """A machine with a database.

    Args:
        root: Its directory.
        member: Which database it is.
    """

    def __init__(self, root: Path, member: Member) -> None:
        self.member = member
        (root / "media" / member.name).mkdir(parents=True, exist_ok=True)
        super().__init__(root, MysqlAgent, "mysql", member.address, pause=0.3)

    @property
    def volume(self) -> Path:
        """Where its data are; a volume in real life."""
        return self.root / "media" / self.member.name

    def status(self) -> DatabaseStatus:
        """Return how the database is."""
        return self.agent.get_database_status()

    def create(self) -> None:
        """Run the first member of a new cluster."""
        finish(self.agent.create_database())

    def bootstrap(self) -> None:
        """Run the first member of a cluster on the data that are here."""
        finish(self.agent.bootstrap_database())

    def join(self) -> None:
        """Run a member."""
        finish(self.agent.join_database())

    def promote(self) -> None:
        """Go on without the others."""
        finish(self.agent.promote_database())

    def stop(self) -> None:
        """Stop the server in order."""
        finish(self.agent.stop_database())

    def kill(self, stay_down: bool = False) -> None:
        """Kill the server; unless it shall stay down, it is started again by its supervisor."""
        if stay_down:
            # As when the machine is lost.  It stands still first: it shall not end in order.
            self.supervisor.signal("mariadb", "STOP")
            self.supervisor.stop("mariadb", wait=0)
        self.supervisor.signal("mariadb", "KILL")
        if stay_down:
            eventually(lambda: not self.supervisor.is_running("mariadb"))

    @contextmanager
    def sql(self, user: str = "", password: str = "") -> Iterator[Session]:
        """Connect to the server over its socket."""
        socket = self.root / "run/conpaas-mysql/server/mysqld.sock"
        with session(socket, user, password, seconds=20.0) as connection:
            yield connection

    def write_backup(self) -> bytes:
        """Return a backup."""
        return b"".join(self.agent.write_database_backup().pieces)

    def as_backup(self, content: bytes) -> Upload:
        """Return what the agent is given as a backup."""
        return Upload(io.BytesIO(content), "the backup", len(content))

    def read_backup(self, content: bytes) -> None:
        """Put a backup in the place of what there is."""
        finish(self.agent.read_database_backup(self.as_backup(content)))

    def try_backup(self, content: bytes) -> str:
        """Try a backup; return what was found."""
        return finish(self.agent.try_database_backup(self.as_backup(content)))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Carry out a statement as the administrator; return the rows that it finds."""
        with self.sql() as connection:
            return connection.rows(statement)


@dataclass
class Databases:
    """Members of one cluster that may be made, and how they are told what to do.

    Args:
        directory: Other users may enter it.
        transfer: How whole copies are made.
        settings: Of each server; ``SMALL`` ones unless they say otherwise.
    """

    directory: Path
    transfer: Transfer = "rsync"
    settings: Mapping[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    secrets: ClusterSecrets = field(default_factory=lambda: new_secrets("test"))
    name: str = field(default_factory=lambda: f"test-{os.getpid()}-{next(_clusters)}")

    def machine(self) -> Node:
        """Return a new machine, with an empty volume; all are told at the next ``configure``."""
        number = len(self.nodes) + 1
        root = self.directory / f"{self.name}-{number}"
        root.mkdir()
        node = Node(root, Member(f"mysql-{number}", new_address()))
        self.nodes.append(node)
        return node

    def configure(self, members: list[Node] | None = None, **settings: str) -> None:
        """Tell the members, by default all machines, what they do."""
        told = self.nodes if members is None else members
        for node in told:
            node.agent.configure_database(self.part(node, told, **settings), self.secrets)

    def part(self, node: Node, members: list[Node], **settings: str) -> DatabasePart:
        """Return what a member does."""
        return DatabasePart(
            cluster=self.name,
            name=node.member.name,
            members=tuple(sorted((n.member for n in members), key=lambda m: m.name)),
            volume=node.volume.name,
            settings={**SMALL, **self.settings, **settings},
            transfer=self.transfer,
        )

    def grow(self, count: int = 1) -> list[Node]:
        """Add members to what there is, the first of all by creating the cluster."""
        new = [self.machine() for _ in range(count)]
        self.configure()
        for node in new:
            if node is self.nodes[0]:
                node.create()
            else:
                node.join()
        return new

    def close(self) -> None:
        """End everything."""
        for node in self.nodes:
            if "mariadb" in node.supervisor.names():
                node.kill(stay_down=True)
            node.supervisor.shutdown()
