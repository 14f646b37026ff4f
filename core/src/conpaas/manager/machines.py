"""Machines for the nodes of one service, by way of the director."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from conpaas.api import ManagerDesk
from conpaas.errors import AgentError, ConPaaSError
from conpaas.jobs import JobRunner
from conpaas.manager.book import Book
from conpaas.manager.nodes import Node, NodeState
from conpaas.rpc import Job, Progress, scaled

#: What a job remembers the key under with which it asks for machines.
MACHINES = "machines"
#: And under which, with that key, the nodes that it has got.
READY = "ready"
logger = logging.getLogger(__name__)


class Asker(Protocol):
    """Asks nodes whether their agents are there."""

    def check(self, nodes: Sequence[Node]) -> list[ConPaaSError | None]:
        """Return for each node None when its agent answers, else why not."""


class ServiceMachines:
    """Gets machines for one service and gives them back.

    Args:
        number: Of the service.
        book: Where nodes are noted.
        desk: The director.
        runner: Remembers what a job has begun.
        asker: Asks the agents.
        boot: How long an agent may take to answer, in seconds.
    """

    def __init__(
        self,
        number: int,
        book: Book,
        desk: ManagerDesk,
        runner: JobRunner,
        asker: Asker,
        boot: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._number = number
        self._book = book
        self._desk = desk
        self._runner = runner
        self._asker = asker
        self._boot = boot
        self._sleep = sleep
        self._clock = clock

    def provide(
        self,
        roles: Sequence[str],
        cloud: str | None,
        lost: Sequence[Node | None] = (),
        instead_of: Sequence[Node] = (),
        meanwhile: Callable[[list[Node]], Job[None]] | None = None,
    ) -> Job[list[Node]]:
        """Get a machine for each role and wait until its agent answers."""
        if not roles:
            return []
        # Random, not the job's number: a manager that takes over may count from an older one.
        request = " ".join([MACHINES, *(node.id for node in instead_of)])
        ready = self._runner.recall(f"{READY} {request}")
        if ready is not None:
            # Some may have been replaced since: their machines are not asked for again.
            return [node for node in self._book.nodes(self._number) if node.id in ready]
        key = self._runner.remember(request, lambda: secrets.token_hex(8))
        nodes: list[Node] = []
        try:
            created = self._desk.create_machines(
                service=self._number,
                roles=tuple(roles),
                key=key,
                cloud=cloud,
                replaces=tuple(node.machine if node is not None else 0 for node in lost),
            )
            machines = yield from scaled(created, 0, 80)
            nodes = self._book.add_nodes(self._number, machines)
            nodes = self._book.succeed([node for node in lost if node is not None], nodes)
            if meanwhile is not None:
                yield from scaled(meanwhile(nodes), 80, 90)
            yield from scaled(self._wait(nodes), 90, 100)
        except ConPaaSError as error:
            yield Progress(99, f"giving the machines back, because: {error}")
            try:
                yield from scaled(self.release(nodes), 99, 100)
            except ConPaaSError as another:
                # Nobody's from now on: the director is told so before long, and destroys them.
                logger.warning("the machines are not given back yet: %s", another)
                self._book.forget_nodes(nodes)
            self._runner.forget(request)  # whoever asks again gets other machines
            raise
        with self._book.records.transaction():
            self._book.mark(nodes, NodeState.READY)
            self._runner.remember(f"{READY} {request}", lambda: [node.id for node in nodes])
        for before, node in zip(lost, nodes, strict=bool(lost)):
            if before is not None:
                yield Progress(100, self._about_address(before, node))
        return [replace(node, state=NodeState.READY) for node in nodes]

    def release(self, nodes: Sequence[Node]) -> Job[None]:
        """Give the machines of these nodes back and forget the nodes."""
        if nodes:
            yield from self._remove([node.machine for node in nodes])
            self._book.forget_nodes(nodes)

    def release_all(self) -> Job[None]:
        """Give back every machine that the director or the book knows of for this service."""
        nodes = self._book.nodes(self._number)
        # A machine that its cloud lost is listed no more, and must be forgotten all the same.
        yield from self._remove(self._listed() | {node.machine for node in nodes})
        self._book.forget_nodes(nodes)

    def fence(self, nodes: Sequence[Node]) -> Job[None]:
        """Destroy the machines of nodes, and keep the nodes noted for those that replace them."""
        yield from self._remove([node.machine for node in nodes])

    def find_lost(self) -> Job[list[Node]]:
        """Wait until nobody is silent who still counts as there; return those that are lost."""
        until = self._clock() + self._boot
        while True:
            nodes = self._book.nodes(self._number, NodeState.READY)
            answers = self._asker.check(nodes)
            silent = [n for n, answer in zip(nodes, answers, strict=True) if answer is not None]
            if not silent or self._clock() > until:
                return self._book.nodes(self._number, NodeState.LOST)
            names = ", ".join(f"{node.id} ({node.address})" for node in silent)
            yield Progress(0, f"waiting whether {names} is lost")
            self._sleep(0.2)

    def tidy(self) -> Job[None]:
        """Give back the nodes that never joined, and the machines that are no node's."""
        joining = self._book.nodes(self._number, NodeState.JOINING)
        known = {node.machine for node in self._book.nodes(self._number)}
        yield from self._remove((self._listed() - known) | {node.machine for node in joining})
        self._book.forget_nodes(joining)

    def _about_address(self, before: Node, node: Node) -> str:
        if node.address == before.address:
            return f"address {node.address} kept"
        told = f"it was {before.address}, it is {node.address} now"
        try:
            can = self._desk.keeps_addresses(cloud=node.cloud)
        except ConPaaSError as error:
            logger.warning("nobody says whether %s keeps addresses: %s", node.cloud, error)
            return f"the address was not kept: {told}"
        if can:
            return f"the address could not be kept, something else has it: {told}"
        return f"the cloud {node.cloud} cannot keep addresses: {told}"

    def _listed(self) -> set[int]:
        return {machine.id for machine in self._desk.list_machines(service=self._number)}

    def _remove(self, numbers: Iterable[int]) -> Job[None]:
        if machines := tuple(sorted(numbers)):
            yield from self._desk.remove_machines(machines=machines)

    def _wait(self, nodes: Sequence[Node]) -> Job[None]:
        until = self._clock() + self._boot
        waiting = list(nodes)
        while waiting:
            answers = self._asker.check(waiting)
            silent = [(n, a) for n, a in zip(waiting, answers, strict=True) if a is not None]
            waiting = [node for node, _ in silent]
            there = len(nodes) - len(waiting)
            yield Progress(100 * there // len(nodes), f"{there} of {len(nodes)} agents answer")
            if waiting and self._clock() > until:
                told = "; ".join(f"{node.id} ({node.address}): {why}" for node, why in silent)
                raise AgentError(f"after {self._boot:.0f} s these do not answer: {told}")
            if waiting:
                self._sleep(0.05)
