"""The base class of the part of a service that runs on the application's manager."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from conpaas.agent.base import LogEntry, ServiceAgent
from conpaas.api import Change
from conpaas.errors import AgentError, ConPaaSError, InvalidError, NotFoundError
from conpaas.logs import tail
from conpaas.manager.nodes import Node, NodeInfo
from conpaas.manager.place import ManagerPlace
from conpaas.nearest import did_you_mean
from conpaas.rpc import Job, PerRole, Progress, expose, scaled
from conpaas.schema import Option
from conpaas.service import Service
from conpaas.state import STARTABLE, State

A = TypeVar("A", bound=ServiceAgent)
T = TypeVar("T")

AgentId = Annotated[str, "Id of a node, as list_nodes shows it", Option(metavar="agent_id")]
Counts = Annotated[dict[str, int], PerRole()]
Cloud = Annotated[str | None, "Cloud to take the machines from", Option(short="-c")]
Lines = Annotated[int, "How many lines from its end", msgspec.Meta(ge=1, le=100_000)]

#: What a handler may return: nothing, or a job whose progress the user sees.
Handled = Job[None] | None


class ServiceManager(abc.ABC, Generic[A]):
    """Directs the nodes of one service of one application.

    Given to users by core:
        ``start``, ``stop``, ``repair``, ``add_nodes``, ``remove_nodes``, ``list_nodes``,
        ``get_state``, ``get_history``, ``get_log``, ``list_agent_logs``, ``get_agent_log``.

    Must define:
        ``on_start(nodes)``: make the first nodes serve.

    May override:
        ``first_roles``: the roles of the nodes that ``start`` begins with.
        ``on_stop()``: wind down, before the machines go.  ``on_nodes_added(nodes)``: new nodes
        are there; default: as ``on_start``.  ``on_nodes_leaving(nodes)``: drain them, before
        their machines go.  ``on_nodes_removed(nodes)``: they are gone, tell the others.
        ``on_node_lost(node)``: it does not answer any more.  ``on_manager_started()``: the
        manager has come back, its nodes may have gone on without it.
        ``choose_nodes(role, count)``: which nodes to give up; default: the youngest.
        ``check_add(counts)``, ``check_remove(counts)``: raise when it must not be done.

    Given to you:
        ``self.nodes`` (the living ones, oldest first), ``self.agent(node)`` (a stub typed as your
        agent class), ``self.ask_all(…)`` and ``self.run_all(…)`` (all nodes at once),
        ``self.store`` (a persisted dictionary of JSON values), ``self.blobs`` (files that
        survive the manager's machine), ``self.log``, ``self.state`` (never set it).

    Handlers are plain methods, or generators that ``yield Progress(…)`` where they take long.
    They may be called again after a crash, so their steps must be idempotent.
    """

    #: The roles of the nodes that ``start`` begins with; empty means one of the default role.
    first_roles: ClassVar[tuple[str, ...]] = ()

    def __init__(self, place: ManagerPlace) -> None:
        self.place = place
        self.service: Service = place.service
        self.number: int = place.number
        self.store: MutableMapping[str, Any] = place.store
        self.blobs = place.blobs
        self.log: logging.Logger = place.log

    # -- given to users by core ---------------------------------------------------------------

    @expose(
        states=STARTABLE,
        meanwhile=State.PROLOGUE,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
        done="Service {service} of application {application} is running.",
    )
    def start(self, cloud: Cloud = None) -> Job[None]:
        """Start the service on its first nodes."""
        roles = self.first_roles or (self.service.default_role.name,)
        yield Progress(0, f"asking for {_machines(len(roles))}")
        nodes = yield from scaled(self.place.machines.provide(roles, cloud), 0, 70)
        yield Progress(70, "configuring the service")
        yield from _handled(self.on_start(nodes), 70, 98)
        self.place.tell_added(nodes)

    @expose(
        meanwhile=State.EPILOGUE,
        then=State.STOPPED,
        otherwise=State.ERROR,
        resumes=True,
        preempts=True,
        done="Service {service} of application {application} is stopped.",
        confirm="The machines of the service are given back with what is on them. "
        "Its definition, code and settings are kept.",
    )
    def stop(self) -> Job[None]:
        """Stop the service and give its machines back; its code and settings are kept."""
        yield Progress(0, "winding the service down")
        try:
            yield from _handled(self.on_stop(), 0, 40)
        except ConPaaSError as error:
            # A node that cannot be asked must not keep the others: its machine goes anyway.
            self.log.warning("while winding down: %s", error)
            yield Progress(40, f"winding down failed, going on: {error}")
        gone = self.nodes
        yield Progress(40, f"giving {_machines(len(gone))} back")
        yield from scaled(self.place.machines.release_all(), 40, 100)
        self.place.tell_removed(gone)

    @expose(
        states=(State.ERROR,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
        done="Service {service} of application {application} is running again.",
    )
    def repair(self) -> Job[None]:
        """Try again after an error: give up lost nodes and make the others serve."""
        yield Progress(0, "looking at the nodes")
        yield from scaled(self.place.machines.release(self.place.nodes.lost()), 0, 20)
        yield from scaled(self.place.machines.tidy(), 20, 30)
        if not self.nodes:
            roles = self.first_roles or (self.service.default_role.name,)
            yield from scaled(self.place.machines.provide(roles, None), 30, 70)
        yield Progress(70, "configuring the service")
        yield from _handled(self.on_start(self.nodes), 70, 98)

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
    )
    def add_nodes(self, nodes: Counts, cloud: Cloud = None) -> Job[list[NodeInfo]]:
        """Add nodes to the running service."""
        counts = self._counts(nodes, "add")
        if not self.place.resuming:
            self.check_add(counts)
        roles = [role for role, count in counts.items() for _ in range(count)]
        yield Progress(0, f"asking for {_machines(len(roles))}")
        added = yield from scaled(self.place.machines.provide(roles, cloud), 0, 70)
        yield Progress(70, "configuring the new nodes")
        yield from _handled(self.on_nodes_added(added), 70, 98)
        self.place.tell_added(added)
        return [self._info(node) for node in added]

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
    )
    def remove_nodes(self, nodes: Counts) -> Job[list[NodeInfo]]:
        """Remove nodes from the running service."""
        counts = self._counts(nodes, "remove")
        if not self.place.resuming:
            self.check_remove(counts)
        yield Progress(0, "choosing the nodes to give up")
        leaving = self.place.leave(
            lambda: [n for role, count in counts.items() for n in self.choose_nodes(role, count)]
        )
        yield Progress(1, f"draining {', '.join(node.id for node in leaving)}")
        yield from _handled(self.on_nodes_leaving(leaving), 0, 40)
        yield Progress(40, f"giving {_machines(len(leaving))} back")
        yield from scaled(self.place.machines.release(leaving), 40, 80)
        yield Progress(80, "telling the other nodes")
        yield from _handled(self.on_nodes_removed(leaving), 80, 98)
        self.place.tell_removed(leaving)
        return [replace(self._info(node), state="removed") for node in leaving]

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        hidden=True,
    )
    def replace_lost_nodes(self) -> Job[None]:
        """Put new nodes in the place of lost ones whose role says so."""
        yield Progress(0, "looking at the lost nodes")
        lost = self.place.leave(self.replaceable)
        for node in lost:
            yield from _handled(self.on_node_lost(node), 0, 10)
        yield Progress(10, f"asking for {_machines(len(lost))} instead")
        added = yield from scaled(
            self.place.machines.provide([node.role for node in lost], None), 10, 60
        )
        yield from scaled(self.place.machines.release(lost), 60, 70)
        yield from _handled(self.on_nodes_removed(lost), 70, 80)
        yield from _handled(self.on_nodes_added(added), 80, 98)
        self.place.tell_removed(lost)
        self.place.tell_added(added)

    @expose(reads=True)
    def list_nodes(self) -> list[NodeInfo]:
        """List the nodes of the service."""
        return [self._info(node) for node in self.place.nodes.all()]

    @expose(reads=True)
    def get_history(self) -> list[Change]:
        """Show every change of the service's state, with its reason, oldest first."""
        return self.place.history()

    @expose(reads=True)
    def get_log(self, lines: Lines = 1000) -> str:
        """Show the end of the service's log on the manager."""
        return tail(self.place.log_path, lines)

    @expose(reads=True)
    def list_agent_logs(self, agent_id: AgentId) -> list[LogEntry]:
        """List the logs that a node offers."""
        return self.agent(self.node(agent_id)).list_logs()

    @expose(reads=True)
    def get_agent_log(
        self,
        agent_id: AgentId,
        filename: Annotated[str, "Which log", Option(short="-f")] = "agent.log",
        lines: Lines = 1000,
    ) -> str:
        """Show the end of a node's log."""
        return self.agent(self.node(agent_id)).get_log(filename=filename, lines=lines)

    # -- must define, may override ------------------------------------------------------------

    @abc.abstractmethod
    def on_start(self, nodes: list[Node]) -> Handled:
        """Make the first nodes serve."""

    def on_stop(self) -> Handled:
        """Wind down, before the machines go."""
        return None

    def on_nodes_added(self, nodes: list[Node]) -> Handled:
        """Take new nodes in; the default makes them serve as the first ones."""
        return self.on_start(nodes)

    def on_nodes_leaving(self, nodes: list[Node]) -> Handled:
        """Drain nodes whose machines are about to go."""
        return None

    def on_nodes_removed(self, nodes: list[Node]) -> Handled:
        """Tell the remaining nodes that others are gone."""
        return None

    def on_node_lost(self, node: Node) -> Handled:
        """React to a node that does not answer any more; called inside a job."""
        return None

    def on_manager_started(self) -> None:
        """Take up after the manager has come back."""

    def choose_nodes(self, role: str, count: int) -> list[Node]:
        """Return the nodes of a role to give up; the default takes the youngest."""
        return [node for node in self.nodes if node.role == role][::-1][:count]

    def check_add(self, counts: dict[str, int]) -> None:
        """Raise when these counts of nodes must not be added."""

    def check_remove(self, counts: dict[str, int]) -> None:
        """Raise when these counts of nodes must not be removed; the default keeps one node."""
        if sum(counts.values()) >= len(self.nodes):
            raise InvalidError(
                f"the service has {_nodes(len(self.nodes))} and must keep one: stop the service "
                "to give up all"
            )

    # -- given to the plugin ------------------------------------------------------------------

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
        jobs = {node.id: job for node, job in running if not isinstance(job, ConPaaSError)}
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

    # -- core's own ---------------------------------------------------------------------------

    def replaceable(self) -> list[Node]:
        """Return the lost nodes whose role says that they are replaced."""
        roles = {role.name for role in self.service.roles if role.replace_lost}
        return [node for node in self.place.nodes.lost() if node.role in roles]

    def _counts(self, given: dict[str, int], verb: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name, count in given.items():
            role = self.service.default_role if name == "count" else self.service.role(name)
            if role is None:
                names = [role.name for role in self.service.roles if not role.fixed]
                raise InvalidError(
                    f"a {self.service.name} service has no role {name[:60]!r}"
                    f"{did_you_mean(name, [*names, 'count'])}"
                )
            if role.fixed and count:
                raise InvalidError(f"nodes of the role {role.name} cannot be {verb}ed by hand")
            if not 0 <= count <= self.place.max_nodes:
                raise InvalidError(
                    f"{name}: {count} is out of range: 0 to {self.place.max_nodes} are allowed"
                )
            counts[role.name] = counts.get(role.name, 0) + count
        counts = {role: count for role, count in counts.items() if count}
        if not given:
            counts = {self.service.default_role.name: 1}
        if not counts:
            raise InvalidError(f"say how many nodes to {verb}: at least one")
        if self.place.resuming:
            return counts  # they were checked when the job began, against other numbers
        if verb == "add" and len(self.nodes) + sum(counts.values()) > self.place.max_nodes:
            raise InvalidError(
                f"the service would have {len(self.nodes) + sum(counts.values())} nodes: "
                f"at most {self.place.max_nodes} are allowed"
            )
        if verb == "remove":
            for name, count in counts.items():
                if count > (there := sum(node.role == name for node in self.nodes)):
                    raise InvalidError(
                        f"cannot remove {_nodes(count)} with the role {name}: there are {there}"
                    )
        return counts

    def _info(self, node: Node) -> NodeInfo:
        return NodeInfo(
            aid=self.place.application,
            sid=self.number,
            role=node.role,
            ip=node.address,
            agent_id=node.id,
            cloud=node.cloud,
            state=node.state.value,
        )


def _handled(result: Handled, low: int, high: int) -> Job[None]:
    if result is not None:
        yield from scaled(result, low, high)


def _asking(question: Callable[[A], T], agent: A) -> Callable[[], T]:
    return lambda: question(agent)


def _whole(answers: Sequence[tuple[Node, T | ConPaaSError]]) -> list[T]:
    failed = [(node, answer) for node, answer in answers if isinstance(answer, ConPaaSError)]
    if failed:
        told = "; ".join(f"{node.id} ({node.address}): {error}" for node, error in failed)
        raise AgentError(told, detail=[node.id for node, _ in failed])
    return [answer for _, answer in answers if not isinstance(answer, ConPaaSError)]


def _machines(count: int) -> str:
    return "1 machine" if count == 1 else f"{count} machines"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


__all__ = ["Handled", "Node", "ServiceManager"]
