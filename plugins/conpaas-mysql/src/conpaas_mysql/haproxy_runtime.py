"""A running haproxy, asked and changed over its socket: what it does then is not interrupted.

What 2.6 cannot do while it runs, by trial: ``track`` a server that was added, delete one that is
tracked, or set a variable.  So each backend has checks of its own, and a map says which one it is.
"""

from __future__ import annotations

import csv
import io
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas.errors import AgentError, UnreachableError

_TIMEOUT = 5.0
#: Seconds within which a server that was added has been checked once, whatever came out.
_CHECKED_WITHIN = 8.0
#: Seconds within which connections that are cut are gone.
_CUT_WITHIN = 5.0
_PAUSE = 0.02
_SERVERS = 4  #: of ``show stat``: only lines of servers
#: Of the administrative state.  That it began so (4) stays, when it has long been admitted.
_MAINTENANCE = 0x23
_DRAIN = 0x18
_UNCHECKED = ("", "INI")
#: What haproxy answers, beside nothing, when it did what it was told.
_DONE = ("New server registered.", "Server deleted.")


@dataclass(frozen=True)
class ServerKey:
    """What a server is known by: its backend and its name."""

    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server}"


@dataclass(frozen=True)
class ServerState:
    """How haproxy sees a server.

    Args:
        address: Where it is, without the port.
        is_up: It passed its last checks.
        is_checked: It was checked at least once.
        is_drained: It gets no new connections, because of what haproxy was told.
        connections: It has now.
        total: Connections it has had since haproxy began.
    """

    address: str
    is_up: bool
    is_checked: bool
    is_drained: bool
    connections: int
    total: int


class Runtime:
    """The socket of a running haproxy.

    Args:
        path: Of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, command: str) -> str:
        """Send one command, and return what comes back.

        Raises:
            UnreachableError: Nobody listens, or not to the end.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_TIMEOUT)
                connection.connect(str(self._path))
                connection.sendall(command.encode() + b"\n")
                pieces = iter(lambda: connection.recv(65536), b"")
                return b"".join(pieces).decode(errors="replace").strip()
        except OSError as error:
            raise UnreachableError(f"the balancer does not answer: {error}") from error

    def order(self, command: str) -> None:
        """Send one command that changes something.

        Raises:
            AgentError: It is refused.
            UnreachableError: Nobody listens.
        """
        answer = self.say(command)
        if answer and answer not in _DONE:
            raise AgentError(
                f"the balancer refuses to {command.partition(' check ')[0]}: {answer}"
            )

    # -- what is so ----------------------------------------------------------------------------

    def environment(self, name: str) -> str:
        """Return a variable of its environment; empty when it has none."""
        answer = self.say(f"show env {name}")
        return answer.partition("=")[2] if answer.startswith(f"{name}=") else ""

    def servers(self) -> dict[ServerKey, ServerState]:
        """Return all servers of all backends."""
        # The administrative state stands in the one table, the rest is told by the other.
        told = self.say("show servers state").splitlines()[1:]
        fields = told[0].removeprefix("# ").split() if told else []
        orders = {
            ServerKey(row["be_name"], row["srv_name"]): int(row["srv_admin_state"])
            for row in (dict(zip(fields, line.split(), strict=True)) for line in told[1:] if line)
        }
        found = {}
        for row in self._statistics(_SERVERS):
            key = ServerKey(row["pxname"], row["svname"])
            if key not in orders:
                continue  # it came or went between the two questions
            found[key] = ServerState(
                address=row["addr"].rpartition(":")[0].strip("[]"),
                is_up=_is_up(row["status"], _last_check(row)),
                is_checked=_last_check(row) not in _UNCHECKED,
                is_drained=bool(orders[key] & (_MAINTENANCE | _DRAIN)),
                connections=int(row["scur"]),
                total=int(row["stot"]),
            )
        return found

    def connections(self, frontend: str) -> int:
        """Return how many connections a frontend has."""
        return int(next(r["scur"] for r in self._statistics(1) if r["pxname"] == frontend))

    def settings(self, file: Path) -> dict[str, str]:
        """Return what a map says."""
        # Each line has a reference, a key, and a value.
        lines = (line.split() for line in self.say(f"show map {file}").splitlines())
        return {words[1]: words[2] for words in lines if len(words) == 3}

    # -- changes -------------------------------------------------------------------------------

    def add(self, servers: Mapping[ServerKey, str]) -> None:
        """Add servers that get no connections yet, and wait until all were checked once.

        Args:
            servers: What each is, as a line of the configuration has it after the name.
        """
        for key, what in servers.items():
            self.order(f"add server {key} {what}")
            self.order(f"enable health {key}")
            # In maintenance it would not be checked.
            self.order(f"set server {key} state drain")
        deadline = time.monotonic() + _CHECKED_WITHIN
        while time.monotonic() < deadline:
            states = self.servers()
            if all(key in states and states[key].is_checked for key in servers):
                return
            time.sleep(_PAUSE)
        raise AgentError(
            f"the balancer has not checked {', '.join(map(str, servers))} "
            f"within {_CHECKED_WITHIN:g} s"
        )

    def remove(self, keys: Iterable[ServerKey]) -> None:
        """Remove servers; connections that they still have are cut."""
        for key in keys:
            self.order(f"set server {key} state maint")
            self.cut(key)
            deadline = time.monotonic() + _CUT_WITHIN
            while (answer := self.say(f"del server {key}")) not in _DONE:
                if time.monotonic() > deadline:
                    raise AgentError(f"the balancer does not let go of {key}: {answer}")
                time.sleep(_PAUSE)

    def drain(self, key: ServerKey) -> None:
        """Send a server no new connections."""
        self.order(f"set server {key} state drain")

    def admit(self, key: ServerKey) -> None:
        """Send a server connections, as long as it passes its checks."""
        self.order(f"set server {key} state ready")

    def cut(self, key: ServerKey) -> None:
        """Cut the connections of a server."""
        self.order(f"shutdown sessions server {key}")

    def set(self, file: Path, key: str, value: str) -> None:
        """Have a map say something else of a key that it knows."""
        self.order(f"set map {file} {key} {value}")

    # -- how it is done ------------------------------------------------------------------------

    def _statistics(self, kind: int) -> list[dict[str, str]]:
        told = self.say(f"show stat -1 {kind} -1").removeprefix("# ")
        return list(csv.DictReader(io.StringIO(told)))


def _last_check(row: Mapping[str, str]) -> str:
    # An asterisk tells that another one is on its way.
    return row["check_status"].removeprefix("* ")


def _is_up(status: str, last_check: str) -> bool:
    # "UP 1/2" is on its way down; "NOLB" gets nothing new.  Of one that is drained only the last
    # check tells.
    return status.startswith("UP") or (status == "DRAIN" and last_check == "L7OK")
