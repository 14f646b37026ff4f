"""The director's ways to managers, over HTTPS."""

from __future__ import annotations

from typing import Any

from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel, Sender
from conpaas.director.models import Machine
from conpaas.errors import UnreachableError
from conpaas.manager.server import USER_HEADER
from conpaas.rpc import Channel
from conpaas.transport import Answer, raise_for_error
from conpaas.transport.peers import Body

MANAGER_PORT = 443
CHECK_TIMEOUT = 5.0  #: seconds
PIECE_TIMEOUT = 60.0  #: seconds for each piece of a body


class HttpManagerWays:
    """Calls managers over kept connections.

    Args:
        peers: Keeps the connections.
    """

    def __init__(self, peers: Sender) -> None:
        self._peers = peers

    def manager(self, machine: Machine, path: str, user: str) -> Channel:
        """Return a channel to the manager on a machine."""
        return HttpChannel(
            self._peers, _url(machine), path, _expect(machine), headers={USER_HEADER: user}
        )

    def check(self, machine: Machine) -> dict[str, str]:
        """Return the states of a manager's services, by number."""
        states: dict[str, str] = self.get(machine, "/api/v1/check", CHECK_TIMEOUT)
        return states

    def get(self, machine: Machine, path: str, timeout: float = 30.0) -> Any:
        """Return the result of a GET."""
        answer = self._peers.request(
            _url(machine), "GET", path, expect=_expect(machine), timeout=timeout
        )
        raise_for_error(answer)
        return answer.json()["result"]

    def forward(
        self, machine: Machine, method: str, path: str, body: Body | None, headers: dict[str, str]
    ) -> Answer:
        """Pass a request on, its body and its answer piece by piece."""
        return self._peers.request(
            _url(machine), method, path,
            expect=_expect(machine), body=body, headers=headers, timeout=PIECE_TIMEOUT,
            stream=True,
        )  # fmt: skip


def _url(machine: Machine) -> str:
    if not machine.address:
        raise UnreachableError(f"{machine.name} has no address yet")
    host = f"[{machine.address}]" if ":" in machine.address else machine.address
    return f"https://{host}:{MANAGER_PORT}"


def _expect(machine: Machine) -> Identity:
    return Identity(Role.MANAGER, application=machine.application_id, machine=machine.id)
