"""Balancers on this machine: a real haproxy on loopback addresses, before any databases."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Protocol

from conpaas.rpc import finish
from conpaas.testing.node import LoneNode
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.parts import (
    HEALTH_PORT,
    MYSQL_PORT,
    BalancedServer,
    BalancerPart,
    Member,
)
from conpaas_mysql.testing import eventually, new_address


class HasMember(Protocol):
    """A database, fake or real."""

    @property
    def member(self) -> Member:
        """Its name, and where it is."""


class FakeDatabase:
    """Greets with its name, and answers each line with it; healthy or not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = new_address()
        self.is_healthy = True
        self.stands_still = False
        self.checks = 0  #: how often a balancer asked whether it is well
        self._connections: set[socket.socket] = set()
        self._nowhere: list[socket.socket] = []
        fake = self

        class Health(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.checks += 1
                well = 404 if fake.stands_still else 200
                self.send_response(well if fake.is_healthy else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._health = http.server.ThreadingHTTPServer((self.address, HEALTH_PORT), Health)
        threading.Thread(target=self._health.serve_forever, args=(0.02,), daemon=True).start()
        self.start()

    @property
    def member(self) -> Member:
        """Its name, and where it is."""
        return Member(self.name, self.address)

    def start(self) -> None:
        """Take connections (again)."""
        self._listener = socket.create_server((self.address, MYSQL_PORT))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            connection.sendall(f"{self.name}\n".encode())
            for _ in lines:
                connection.sendall(f"{self.name}\n".encode())
        self._connections.discard(connection)

    def stop(self) -> None:
        """Stop as a server does that is told to: the connections it has are cut."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def vanish(self) -> None:
        """Have the machine be gone without a word: who connects gets no answer at all."""
        self.close()
        for port in (MYSQL_PORT, HEALTH_PORT):
            # A listener whose queue is full drops what comes, as a wire does that leads nowhere.
            listener = socket.create_server((self.address, port), backlog=0)
            self._nowhere.append(listener)
            for _ in range(2):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex((self.address, port))
                self._nowhere.append(one)

    def close(self) -> None:
        """Be gone, the health check too."""
        self.stop()
        self._health.shutdown()
        self._health.server_close()
        for one in self._nowhere:
            one.close()


class Client:
    """A connection through the balancer."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection((address, MYSQL_PORT), 10)
        self._lines = self._socket.makefile("rb")
        try:
            self.server = self._read()
        except OSError:
            self.close()
            raise

    def ask(self) -> str:
        """Ask who answers."""
        self._socket.sendall(b"?\n")
        return self._read()

    def _read(self) -> str:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("the connection was cut")
        return line.decode().strip()

    def is_alive(self) -> bool:
        """Whether it is still connected to whom it was."""
        try:
            return self.ask() == self.server
        except OSError:
            return False

    def close(self) -> None:
        """Close it."""
        self._lines.close()
        self._socket.close()


class Crowd:
    """Clients that connect, ask three times and go, again and again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.failures: list[str] = []
        self.answers: Counter[str] = Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with contextlib.closing(Client(self._address)) as client:
                    for _ in range(3):
                        self.answers[client.ask()] += 1
                        time.sleep(0.002)
            except OSError as error:
                self.failures.append(repr(error))

    def end(self) -> None:
        """Have them stop, and wait until they have."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


class BalancerNode(LoneNode[MysqlAgent]):
    """A machine that balances connections."""

    def __init__(self, root: Path) -> None:
        self.clients: list[Client] = []
        super().__init__(root, MysqlAgent, "glb", new_address())

    def run(self, *databases: HasMember, single: bool = False, connections: int = 100) -> bool:
        """Have it balance connections to these."""
        members = tuple(sorted((d.member for d in databases), key=lambda m: m.name))
        return self.agent.run_balancer(BalancerPart(members, single, connections))

    def drain(self, database: HasMember, seconds: int = 20) -> int:
        """Drain a database; return how many connections were cut."""
        return finish(self.agent.drain_server(database.member.name, seconds))

    def client(self) -> Client:
        """Connect; the connection is closed with the node."""
        self.clients.append(Client(self.address))
        return self.clients[-1]

    def servers(self) -> dict[str, BalancedServer]:
        """Return how it sees the databases, by name."""
        return {server.name: server for server in self.agent.get_balancer_status().servers}

    @property
    def pid(self) -> int:
        """The number of its process."""
        found = self.supervisor.pid("balancer")
        if found is None:
            raise LookupError("the balancer does not run")
        return found

    @property
    def configuration(self) -> str:
        """What is written for when it starts."""
        return (self.root / "var/lib/conpaas-glb/haproxy.cfg").read_text()

    def kill(self) -> None:
        """Kill the balancer's process, and wait until there is another one that listens."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: (
                self.supervisor.pid("balancer") not in (None, pid)
                and self.agent.get_balancer_status().is_running
            )
        )

    def close(self) -> None:
        """End everything."""
        for client in self.clients:
            client.close()
        super().close()
