"""Tells whoever balances connections whether the database of this machine takes queries.

A program of its own: however the agent is doing, balancers get an answer.  It keeps one connection
to the server, so that it gets in when all others are taken.

It answers 200 when the database takes queries, 404 when it shall get no new connections but keep
those that it has (a copy is being made of it, and it waits until that is done), else 503; the body
says why.

Usage: ``python -m conpaas_mysql.health SOCKET PASSWORD_FILE ADDRESS PORT DATA``.
"""

from __future__ import annotations

import os
import pwd
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pymysql

from conpaas.errors import UnreachableError
from conpaas_mysql import galera
from conpaas_mysql.accounts import MONITOR
from conpaas_mysql.client import Session, connect
from conpaas_mysql.directories import SERVER_USER
from conpaas_mysql.transfers import transfers

#: Seconds for which an answer holds: several balancers may ask.
_HOLDS = 0.2
#: Seconds that the server may take to answer.
_TIMEOUT = 1.0


class Health:
    """Knows how the server is doing.

    Args:
        socket: Of the server.
        password: Of the account that only looks.
        is_blocked: Whether a copy is being made for which the server has to stand still.
    """

    def __init__(self, socket: Path, password: str, is_blocked: Callable[[], bool]) -> None:
        self._socket = socket
        self._password = password
        self._is_blocked = is_blocked
        self._connection: pymysql.Connection[Any] | None = None
        self._lock = threading.Lock()
        self._answer = (503, "not asked yet")
        self._until = 0.0

    def answer(self) -> tuple[int, str]:
        """Return a status of HTTP, and why."""
        with self._lock:
            if time.monotonic() > self._until:
                self._answer = self._ask()
                self._until = time.monotonic() + _HOLDS
            return self._answer

    def _ask(self) -> tuple[int, str]:
        try:
            if self._connection is None:
                self._connection = connect(self._socket, MONITOR, self._password, _TIMEOUT)
            return self._judge(galera.group(Session(self._connection)))
        except (UnreachableError, pymysql.Error, OSError) as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            return 503, f"no answer: {error}"

    def _judge(self, group: galera.Group) -> tuple[int, str]:
        if not group.is_primary:
            return 503, "has lost the majority of the cluster"
        if not group.ready or group.state not in (galera.DONOR, galera.SYNCED):
            return 503, f"takes no queries: {group.comment}"
        # The one that gets the copy is a member, too: with a third there is another to go to.
        if group.state == galera.DONOR and group.size > 2 and self._is_blocked():
            return 404, "stands still while a copy is made of it"
        return 200, group.comment


def is_copied_by_rsync(data: Path) -> bool:
    """Whether a whole copy of these data is being made by rsync: then the server stands still."""
    return any(t.method == "rsync" and t.sends and t.is_whole for t in transfers(data))


def serve(health: Health, address: str, port: int) -> ThreadingHTTPServer:
    """Return the server that answers."""

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            # A balancer hangs up when it has read the status.
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            status, why = health.answer()
            body = f"{why}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_OPTIONS = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing: a line each second is no news."""

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 64
    return ThreadingHTTPServer((address, port), Handler)


def _become(user: str) -> None:
    """Give up root's rights: by now, everything is read that only root may read."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def main(arguments: list[str]) -> int:
    """Answer until it is ended."""
    socket, password_file, address, port, data = arguments
    health = Health(
        Path(socket),
        Path(password_file).read_text().strip(),
        lambda: is_copied_by_rsync(Path(data)),
    )
    server = serve(health, address, int(port))
    _become(SERVER_USER)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
