"""Watches the services: has lost nodes replaced where the role says so, and outdated ones told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conpaas.errors import BusyError, ConPaaSError, WrongStateError
from conpaas.manager.application import ApplicationManager
from conpaas.manager.host import ServiceHost
from conpaas.manager.nodes import Node, NodeState
from conpaas.rpc import operations
from conpaas.state import State

LOOK_AGAIN = 0.5  #: seconds until a service is asked again that was at work when it was asked
KEEP_EVERY = 60.0  #: seconds between two times that the director is told of our machines
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Update:
    """The last try to bring a service up to date."""

    edition: int  #: of the news at that time
    again: float  #: when it may be tried again without news


@dataclass(frozen=True)
class _Replacement:
    """The last try to replace lost nodes of a service."""

    others: frozenset[str]  #: nodes that were not lost at that time
    again: float  #: when it may be tried again while none of these is lost


class Watch:
    """Asks every node now and then whether it is there, and services whether they are outdated.

    Args:
        manager: Whose nodes.
        clock: Seconds, rising.
    """

    def __init__(
        self, manager: ApplicationManager, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._silent_since: dict[str, float] = {}
        self._replacements: dict[int, _Replacement] = {}
        self._updates: dict[int, _Update] = {}
        self._next_keeping = self._clock() + KEEP_EVERY
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch, on a thread."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._manager.news.wake()

    def _run(self) -> None:
        every = self._manager.config.watch.every
        next_round = soon = self._clock() + every
        while True:
            self._manager.news.wait(max(0.0, min(next_round, soon) - self._clock()))
            if self._stopped.is_set():
                return
            try:
                if self._clock() >= next_round:
                    next_round = self._clock() + every
                    self.round()
                busy = self.follow_up()
                soon = self._clock() + (LOOK_AGAIN if busy else every)
            except Exception:
                logger.exception("a round of watching failed")

    def round(self) -> None:
        """Ask every node once, note who is lost or back, begin replacements."""
        nodes = self._manager.book.nodes(None, NodeState.READY, NodeState.LOST)
        answers = self._manager.ways.check(nodes)
        silent = [(n, a) for n, a in zip(nodes, answers, strict=True) if a is not None]
        for node in nodes:
            if all(node is not other for other, _ in silent):
                self._silent_since.pop(node.id, None)
        gone = self._gone(silent)
        for node, why in silent:
            since = self._silent_since.setdefault(node.id, self._clock())
            late = self._clock() - since >= self._manager.config.watch.lost_after
            if node.state is NodeState.READY and (late or node.machine in gone):
                self._manager.lose(node, str(why))
        answering = {n.id for n in nodes} - {n.id for n, _ in silent}
        self._keep_machines()
        for host in list(self._manager.services.values()):
            back = tuple(node.id for node in host.nodes.lost() if node.id in answering)
            if back:
                self._submit(host, "take_back_nodes", {"agent_ids": back})
            else:
                self._replace(host)

    def follow_up(self) -> bool:
        """Have services that are outdated bring their nodes up to date.

        Returns:
            Whether one was at work on something else just now, so that it must be asked again.
        """
        busy = False
        for host in list(self._manager.services.values()):
            try:
                busy |= self._update(host)
                self._begin_due(host)
            except Exception:
                # One type's mistake must not keep the others from it.
                logger.exception("%s cannot be asked what is to be done", host.name)
        return busy

    def _update(self, host: ServiceHost) -> bool:
        edition, now = self._manager.news.edition, self._clock()
        if host.state() is not State.RUNNING:
            return False
        if not host.manager.is_outdated():
            self._updates.pop(host.number, None)
            return False
        last = self._updates.get(host.number)
        # At once when there is news, whatever became of the last try; else after a pause.
        if last is not None and last.edition == edition and now < last.again:
            return False
        if self._manager.runner.busy(host.name):
            return True
        if not self._submit(host, "bring_up_to_date", {}):
            return True
        self._updates[host.number] = _Update(edition, now + self._manager.config.watch.retry)
        return False

    def _begin_due(self, host: ServiceHost) -> None:
        if host.state() is not State.RUNNING or self._manager.runner.busy(host.name):
            return
        if name := host.manager.due():
            self._submit(host, name, {})

    def _gone(self, silent: list[tuple[Node, ConPaaSError]]) -> set[int]:
        """Return the machines that the clouds do not know any more: no need to wait for them."""
        if not silent:
            return set()
        try:
            there = {machine.id for machine in self._manager.desk.list_machines()}
        except ConPaaSError as error:
            logger.warning("the director cannot be asked about machines: %s", error)
            return set()
        return {node.machine for node, _ in silent} - there

    def _keep_machines(self) -> None:
        if self._clock() < self._next_keeping:
            return
        self._next_keeping = self._clock() + KEEP_EVERY
        try:
            self._manager.keep_machines()
        except ConPaaSError as error:
            logger.warning("the director cannot be told of our machines: %s", error)

    def _replace(self, host: ServiceHost) -> None:
        now, lost = self._clock(), host.manager.replaceable()
        if not lost:
            return
        last = self._replacements.get(host.number)
        # At once when another node is lost; one that fails again and again has to wait.
        if last and now < last.again and not any(node.id in last.others for node in lost):
            return
        others = {node.id for node in host.nodes.ready()}
        if self._submit(host, "replace_lost_nodes", {}):
            again = now + self._manager.config.watch.retry
            self._replacements[host.number] = _Replacement(frozenset(others), again)

    def _submit(self, host: ServiceHost, name: str, arguments: dict[str, Any]) -> bool:
        operation = operations(type(host.manager))[name]
        try:
            self._manager.runner.submit(host, operation, arguments, "watch")
        except (BusyError, WrongStateError) as error:
            logger.info("%s of %s has to wait: %s", name, host.name, error)
            return False
        return True
