"""The part of an agent that balances connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from conpaas.agent.base import AgentPlace, LogFile, ServiceAgent
from conpaas.errors import AgentError, ConPaaSError, UnreachableError
from conpaas.rpc import Job, Progress, expose
from conpaas.schema import from_json, to_json
from conpaas_mysql.haproxy import Haproxy, check
from conpaas_mysql.parts import BalancedServer, BalancerPart, BalancerStatus

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Seconds between two looks at whether connections have ended.
_LOOK_EVERY = 0.1
#: Seconds within which connections that are cut are gone.
_CUT_WITHIN = 5.0


class BalancerAgent(ServiceAgent):
    """Runs haproxy; every operation may be repeated."""

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        # A machine may be reached by an address that none of its interfaces has.
        on_machine = place.root == Path("/")
        listen = "0.0.0.0" if on_machine else place.address  # noqa: S104
        self._haproxy = Haproxy(place.root, place.supervisor, listen)
        self._balancer_lock = threading.Lock()

    @expose()
    def run_balancer(self, part: Annotated[BalancerPart, "What it does"]) -> bool:
        """Balance connections; return whether anything is new.

        Databases that come are used once they pass their health check.  Connections of those that
        are no longer in the part are cut: drain them before.  All others stay.

        Raises:
            InvalidError: A database's name or address, or the number of connections.
            AgentError: It does not run so; repeated, it does what is left.
        """
        check(part)
        with self._changing():
            told = self._told()
            # First it is noted: whoever comes back after a crash does what was said last.
            self._note(part, [])
            return self._haproxy.configure(part) or told != (part, [])

    @expose(resumes=True)
    def drain_server(
        self,
        name: Annotated[str, "Name of a database"],
        seconds: Annotated[int, "At most", msgspec.Meta(ge=0, le=3600)] = 60,
    ) -> Job[int]:
        """Send no new connections to a database, and wait until those it has have ended.

        It stays so until ``run_balancer`` names it again.  One that is not known is fine.

        Returns:
            How many were still there at the end, and were cut.
        """
        yield Progress(0, f"{name} gets no new connections")
        with self._changing():
            if not self._drain(name):
                return 0
        began = time.monotonic()
        first = self._left(name)
        said = -1
        while (left := self._left(name)) and (passed := time.monotonic() - began) < seconds:
            if left != said:
                ended = (first - left) / first if first else 1.0
                share = min(1.0, max(ended, passed / seconds, 0.0))
                yield Progress(int(95 * share), f"{name} has {left} connections left")
                said = left
            time.sleep(_LOOK_EVERY)
        if not left:
            return 0
        yield Progress(95, f"{name}: cutting the last {left} connections")
        with self._changing():
            if name not in self._drained():
                return 0  # it is wanted again
            left = self._haproxy.connections(name)
            self._haproxy.cut(name)
            self._await_none(name)
        self.log.warning("%s: %d connections had not ended and were cut", name, left)
        return left

    @expose()
    def leave_balancer(self) -> None:
        """Stop balancing, when connections had a little time to end; one that does not is fine."""
        with self._changing():
            self.store.pop("balancer", None)
            self._haproxy.leave()

    @expose(reads=True, hidden=True)
    def get_balancer_status(self) -> BalancerStatus:
        """Return how the balancer sees the databases; one that does not run sees none."""
        drained = self._drained()
        try:
            states, clients = self._haproxy.states(), self._haproxy.clients()
        except UnreachableError:
            return BalancerStatus(False, 0, ())
        return BalancerStatus(
            True,
            clients,
            tuple(
                BalancedServer(
                    name, state.address, state.is_up, name in drained, state.connections
                )
                for name, state in sorted(states.items())
            ),
        )

    def on_boot(self) -> None:
        """Balance as this node was told to."""
        super().on_boot()
        told = self._told()
        if told is None:
            return
        try:
            with self._changing():
                self._haproxy.configure(*told)
        except ConPaaSError as error:
            # The manager asks again; an agent that does not start could tell it nothing.
            self.log.error("the balancer does not run: %s", error)

    def logs(self) -> list[LogFile]:
        """Offer what the balancer says of databases that come and go."""
        found = super().logs()
        if self._told() is None:
            return found
        said = "which databases come and go, as the balancer sees it"
        return [*found, LogFile("balancer.log", said, self._haproxy.log)]

    def collect(self) -> Iterable[Metric]:
        """Measure the balancer too."""
        # Late: clients import this file, and need none of it.
        from conpaas_mysql import measures

        yield from super().collect()
        if self._told() is not None:
            yield from measures.of_balancer(self._haproxy)

    # -- how it is done ------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change one thing at a time.

        Raises:
            AgentError: The disk is full, or the like.
        """
        with self._balancer_lock:
            try:
                yield
            except OSError as error:
                raise AgentError(f"the balancer: {error.strerror or error}") from error

    def _told(self) -> tuple[BalancerPart, list[str]] | None:
        """Return what this node was told last: the part, and who gets no new connections."""
        kept: Any = self.store.get("balancer")
        if kept is None:
            return None
        return from_json(kept["part"], BalancerPart, "balancer"), list(kept["drained"])

    def _note(self, part: BalancerPart, drained: list[str]) -> None:
        self.store["balancer"] = {"part": to_json(part), "drained": drained}

    def _drained(self) -> list[str]:
        told = self._told()
        return [] if told is None else told[1]

    def _drain(self, name: str) -> bool:
        """Send a database no new connections; return whether it is known at all."""
        told = self._told()
        if told is None or name not in {server.name for server in told[0].servers}:
            return False
        part, drained = told
        self._note(part, sorted({*drained, name}))
        self._haproxy.configure(part, self._drained())
        return True

    def _left(self, name: str) -> int:
        """Return how many connections it still has; 0 for one that is wanted again, or dead."""
        if name not in self._drained():
            return 0
        try:
            return self._haproxy.connections(name)
        except UnreachableError:
            return 0  # they went with the balancer's process

    def _await_none(self, name: str) -> None:
        deadline = time.monotonic() + _CUT_WITHIN
        while self._haproxy.connections(name):
            if time.monotonic() > deadline:
                raise AgentError(f"connections of {name} do not end although they were cut")
            time.sleep(_LOOK_EVERY)
