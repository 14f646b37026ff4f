"""Where the hooks of the repository and sshd ask the manager: a unix socket on its machine."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas.errors import ConPaaSError

#: Answers to lines with sentences; to raise is to refuse.
Answer = Callable[[list[str]], Iterator[str]]
_MAX_QUESTION = 1 << 20  #: bytes
_MOST_AT_ONCE = 40
_PATIENCE = 30.0
_CREDENTIALS = struct.Struct("3i")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """Something that can be asked, and the user ids of those who may."""

    answer: Answer
    users: frozenset[int]


class Door:
    """Answers questions, each connection in a thread of its own.

    Args:
        path: Of the socket; whoever is not allowed to ask may connect and is refused.
        questions: By name.
    """

    def __init__(self, path: Path, questions: Mapping[str, Question]) -> None:
        self._path = path
        self._questions = questions
        #: Pushes that wait for one another keep nobody from logging in.
        self._rooms = {name: threading.BoundedSemaphore(_MOST_AT_ONCE) for name in questions}
        self._server: _Server | None = None

    def open(self) -> None:
        """Begin to answer."""
        self._path.unlink(missing_ok=True)
        self._server = _Server(str(self._path), self._answer)
        self._path.chmod(0o666)
        threading.Thread(target=self._server.serve_forever, name="git", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._path.unlink(missing_ok=True)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        try:
            done = self._converse(connection)
            _send(connection, {"done": done})
        except OSError as error:
            # Who asked has gone: what it asked for is done all the same.
            logger.info("nobody listens to the answer any more: %s", error)

    def _converse(self, connection: socket.socket) -> bool:
        user = _user(connection)
        with connection.makefile("rb") as stream:
            line = stream.readline(_MAX_QUESTION + 1)
        if len(line) > _MAX_QUESTION:
            _send(connection, {"say": "ConPaaS: this is too much at once: push fewer branches."})
            return False
        try:
            asked = json.loads(line)
            name, lines = str(asked["ask"]), [str(one) for one in asked["lines"]]
        except (ValueError, KeyError, TypeError):
            return False
        question = self._questions.get(name)
        if question is None or user not in question.users:
            logger.warning("user %d may not ask for %r", user, name[:40])
            return False
        if not self._rooms[name].acquire(timeout=_PATIENCE):
            _tell(connection, "ConPaaS: too many pushes at once: try again in a moment.")
            return False
        listening = True
        try:
            for said in question.answer(lines):
                if listening:
                    listening = _tell(connection, said)
        except ConPaaSError as error:
            _tell(connection, f"ConPaaS: {error}")
            return False
        except Exception:
            logger.exception("the question %r of git failed", name)
            _tell(connection, "ConPaaS: something went wrong here; the manager's log tells what.")
            return False
        finally:
            self._rooms[name].release()
        return True


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, answer: Callable[[socket.socket], None]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                answer(self.request)

        super().__init__(path, Handler)


def _user(connection: socket.socket) -> int:
    given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(given)[1])


def _tell(connection: socket.socket, text: str) -> bool:
    """Say something; return whether anybody listens."""
    try:
        _send(connection, {"say": text})
    except OSError:
        return False
    return True


def _send(connection: socket.socket, answer: Mapping[str, object]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")
