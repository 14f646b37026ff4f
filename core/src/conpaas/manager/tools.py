"""What a service manager works with: its nodes, and their agents one by one or all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Generic, TypeVar, cast

from conpaas.agent.base import ServiceAgent
from conpaas.errors import AgentError, ConPaaSError, NotFoundError
from conpaas.manager.nodes import Node
from conpaas.manager.place import ManagerPlace
from conpaas.nearest import did_you_mean
from conpaas.rpc import Job, Progress
from conpaas.service_type import ServiceType
from conpaas.state import State

A = TypeVar("A", bound=ServiceAgent)
T = TypeVar("T")


class ManagerTools(Generic[A]):
    """The tools of a :class:`~conpaas.manager.base.ServiceManager`.

    Args:
        place: Where it lives.
    """

    def __init__(self, place: ManagerPlace) -> None:
        self.place = place
        self.service: ServiceType = place.service
        self.number: int = place.number
        self.store: MutableMapping[str, Any] = place.store
        self.blobs = place.blobs
        self.log: logging.Logger = place.log

    @property
    def state(self) -> State:
        """The service's state."""
        return self.place.state()

    @property
    def nodes(self) -> list[Node]:
        """The nodes that are ready, oldest first; those lost or leaving are not among them."""
        return self.place.nodes.ready()

    def node(self, agent_id: str) -> Node:
        """Return the node of that id (or address).

        Raises:
            NotFoundError: The service has none.
        """
        found = self.place.nodes.all()
        for node in found:
            if agent_id in (node.id, node.address):
                return node
        near = did_you_mean(agent_id, [node.id for node in found])
        raise NotFoundError(f"service {self.number} has no node {agent_id[:60]!r}{near}")

    def agent(self, node: Node) -> A:
        """Return a stub of a node's agent: its operations run there."""
        stub: A = self.place.agent(node)
        return stub

    def ask_each(
        self, question: Callable[[A], T], nodes: Sequence[Node] | None = None
    ) -> list[tuple[Node, T | ConPaaSError]]:
        """Ask nodes (default: all that are ready) at once; return each one's answer or error."""
        asked = self.nodes if nodes is None else list(nodes)
        answers = self.place.at_once([_asking(question, self.agent(node)) for node in asked])
        return list(zip(asked, answers, strict=True))

    def ask_all(self, question: Callable[[A], T], nodes: Sequence[Node] | None = None) -> list[T]:
        """Ask nodes (default: all that are ready) at once; return the answers in their order.

        Raises:
            AgentError: Some failed; says which, and why.
        """
        return _whole(self.ask_each(question, nodes))

    def run_all(
        self, begin: Callable[[A], Job[T]], nodes: Sequence[Node] | None = None
    ) -> Job[list[T]]:
        """Run a job on nodes (default: all that are ready) at once; return their results.

        Raises:
            AgentError: Some failed; says which, and why.
        """
        running = self.ask_each(begin, nodes)
        results: dict[str, T | ConPaaSError] = {
            node.id: job for node, job in running if isinstance(job, ConPaaSError)
        }
        jobs = {
            node.id: self.while_there(node, job)
            for node, job in running
            if not isinstance(job, ConPaaSError)
        }
        percents = dict.fromkeys([node.id for node, _ in running], 0)
        while jobs:
            for name, job in list(jobs.items()):
                try:
                    step = next(job)
                    percents[name] = step.percent
                    yield Progress(sum(percents.values()) // len(percents), step.message)
                except StopIteration as stop:
                    results[name] = stop.value
                    percents[name] = 100
                    del jobs[name]
                except ConPaaSError as error:
                    results[name] = error
                    del jobs[name]
        return _whole([(node, results[node.id]) for node, _ in running])

    def while_there(self, node: Node, job: Job[T]) -> Job[T]:
        """Run a job that needs a node; when the node is lost, it is not waited for any more.

        Raises:
            AgentError: It was lost.
        """
        while True:
            if not self.is_there(node):
                # Thrown in: who closes a job wants the node to end it, and this one cannot.
                lost = AgentError(f"the machine of {node.id} was lost")
                job.throw(lost)
                raise lost
            try:
                step = next(job)
            except StopIteration as stop:
                return cast("T", stop.value)
            yield step

    def is_there(self, node: Node) -> bool:
        """Whether a node is neither lost nor replaced already."""
        nodes = self.place.nodes
        there = {one.id for one in nodes.all()} - {one.id for one in nodes.lost()}
        return node.id in there


def _asking(question: Callable[[A], T], agent: A) -> Callable[[], T]:
    return lambda: question(agent)


def _whole(answers: Sequence[tuple[Node, T | ConPaaSError]]) -> list[T]:
    failed = [(node, answer) for node, answer in answers if isinstance(answer, ConPaaSError)]
    if failed:
        told = "; ".join(f"{node.id} ({node.address}): {error}" for node, error in failed)
        raise AgentError(told, detail=[node.id for node, _ in failed])
    return [answer for _, answer in answers if not isinstance(answer, ConPaaSError)]
