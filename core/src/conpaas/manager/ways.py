"""The manager's ways to its agents and to its director."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel, Sender
from conpaas.errors import ConPaaSError
from conpaas.front import METRICS_PATH
from conpaas.manager.nodes import Node
from conpaas.rpc import Channel
from conpaas.transport import fan_out

T = TypeVar("T")
AGENT_PORT = 5555
CHECK_TIMEOUT = 3.0  #: seconds


class Ways(Protocol):
    """How a manager reaches others."""

    def agent(self, node: Node) -> Channel:
        """Return the channel to a node's agent."""

    def desk(self) -> Channel:
        """Return the channel to the director."""

    def check(self, nodes: Sequence[Node]) -> list[ConPaaSError | None]:
        """Return for each node None when its agent answers, else why not."""

    def metrics(self, nodes: Sequence[Node]) -> list[bytes | ConPaaSError]:
        """Return for each node its metrics in Prometheus' text format, or why there are none."""

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T | ConPaaSError]:
        """Make calls concurrently; return their results or errors in order."""


class HttpWays:
    """The ways over HTTPS, with kept connections.

    Args:
        peers: Keeps the connections.
        director_url: Of the director.
        application: Only its agents are talked to.
    """

    def __init__(self, peers: Sender, director_url: str, application: int) -> None:
        self._peers = peers
        self._director_url = director_url
        self._application = application

    def agent(self, node: Node) -> Channel:
        """Return the channel to a node's agent."""
        return HttpChannel(self._peers, _url(node), "/api/v1/agent", self._expect(node))

    def desk(self) -> Channel:
        """Return the channel to the director."""
        expect = Identity(Role.DIRECTOR)
        return HttpChannel(self._peers, self._director_url, "/api/v1/manager", expect)

    def check(self, nodes: Sequence[Node]) -> list[ConPaaSError | None]:
        """Ask nodes whether their agents are there."""
        return self.at_once([self._check(node) for node in nodes])

    def metrics(self, nodes: Sequence[Node]) -> list[bytes | ConPaaSError]:
        """Ask nodes for what they measure."""
        return self.at_once([self._get(node, METRICS_PATH) for node in nodes])

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T | ConPaaSError]:
        """Make calls concurrently."""
        return fan_out(calls)

    def _check(self, node: Node) -> Callable[[], None]:
        get = self._get(node, "/api/v1/check")

        def ask() -> None:
            get()

        return ask

    def _get(self, node: Node, path: str) -> Callable[[], bytes]:
        def ask() -> bytes:
            answer = self._peers.request(
                _url(node), "GET", path, expect=self._expect(node), timeout=CHECK_TIMEOUT
            )
            if answer.status != 200:
                raise ConPaaSError(f"its agent answers with HTTP {answer.status}")
            return answer.body

        return ask

    def _expect(self, node: Node) -> Identity:
        # The machine's own number: an address that went to another machine is noticed.
        return Identity(Role.AGENT, application=self._application, machine=node.machine)


def _url(node: Node) -> str:
    host = f"[{node.address}]" if ":" in node.address else node.address
    return f"https://{host}:{AGENT_PORT}"
