"""The base class of the part of a service that runs on the application's manager."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.errors import ConPaaSError, WrongStateError
from conpaas.features.monitoring.manager import MonitoringManager
from conpaas.manager.counts import machines
from conpaas.manager.handlers import Handled, handled
from conpaas.manager.history import HistoryManager
from conpaas.manager.nodes import Node, NodeInfo
from conpaas.manager.publishing import PublishingManager
from conpaas.manager.replacing import ReplacingManager
from conpaas.manager.timing import TimingManager
from conpaas.rpc import Job, PerRole, Progress, expose, scaled
from conpaas.schema import Option
from conpaas.state import STARTABLE, State

A = TypeVar("A", bound=ServiceAgent)

#: What an ``add_nodes`` remembers the error under for which it gives its nodes back.
_GIVEN_UP = "given up"
Counts = Annotated[dict[str, int], PerRole()]
Cloud = Annotated[str | None, "Cloud to take the machines from", Option(short="-c")]


class ServiceManager(
    HistoryManager[A],
    PublishingManager[A],
    ReplacingManager[A],
    TimingManager[A],
    MonitoringManager[A],
    abc.ABC,
):
    """Directs the nodes of one service of one application.

    Given to users by core:
        ``start``, ``stop``, ``repair``, ``add_nodes``, ``remove_nodes``, ``list_nodes``,
        ``get_history``, ``get_log``, ``list_agent_logs``, ``get_agent_log``, ``set_script``,
        ``get_script``, ``unset_script``, ``get_metrics``, ``get_series``.

    Must define:
        ``on_start(nodes)``: make the first nodes serve.

    May override:
        ``first_roles``: the roles of the nodes that the first ``start`` begins with.
        ``check_first()``: raise when not even its user may have it start with these again, but
        only with as many nodes as it had when it was stopped.
        ``check_save()``, ``save()``, ``on_stop()``: carry away what only the machines keep, and
        wind down, before they go.  ``on_nodes_added(nodes)``: new nodes are there; default: as
        ``on_start``.  ``on_nodes_leaving(nodes)``: drain them, before
        their machines go.  ``on_nodes_removed(nodes)``: they are gone, tell the others.
        ``on_node_lost(node)``: it does not answer any more.  ``on_manager_started()``: the
        manager has come back, its nodes may have gone on without it.
        ``choose_nodes(role, count)``: which nodes to give up; default: the highest positions.
        ``check_add(counts)``, ``check_remove(counts)``: raise when it must not be done.
        ``foresee(more, fewer)``: what else such a change would move, in sentences.
        ``roles_of(node)``: the roles that a node plays now, where it is more than its own.
        ``is_outdated()``, ``on_outdated()``: the nodes must be told anew what they were told.
        ``due()``: an operation whose time has come.
        ``charts()``: what is worth a chart, of what the agents' ``collect()`` measures.
        ``kept_metrics()``: what else of it you look at, by ``self.place.samples``.

    Given to you:
        ``self.nodes`` (the living ones, oldest first), ``self.agent(node)`` (a stub typed as your
        agent class), ``self.ask_all(…)`` and ``self.run_all(…)`` (all nodes at once),
        ``self.store`` (a persisted dictionary of JSON values), ``self.blobs`` (files that
        survive the manager's machine), ``self.log``, ``self.state`` (never set it);
        ``self.publish(values)`` and ``self.published()`` (what services tell each other);
        ``self.place.note(text)`` (in the history: what happened to the service);
        ``self.place.machines.fence(nodes)`` (destroy the machines of lost nodes at once);
        ``self.exchange(lost)`` (replace lost nodes while a job of yours is at work, which keeps
        core from it); ``self.steadily(begin)`` (do what takes long, while faults are answered);
        ``self.attended(job)`` (the same, for what must not be begun anew);
        ``self.place.supervisor``, ``self.place.directory`` and ``self.place.address`` (what the
        service runs, and keeps, on the manager's machine: stopped and removed with the service).

    Handlers are plain methods, or generators that ``yield Progress(…)`` where they take long.
    They may be called again after a crash, so their steps must be idempotent.
    """

    #: The roles of the nodes that the first ``start`` begins with; empty: one of the default role.
    first_roles: ClassVar[tuple[str, ...]] = ()

    # -- given to users by core ---------------------------------------------------------------

    @expose(
        states=STARTABLE,
        meanwhile=State.PROLOGUE,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
        costs=True,
        done="Service {service} of application {application} is running.",
    )
    def start(
        self,
        cloud: Cloud = None,
        first: Annotated[bool, "Only the first nodes, as at the first start"] = False,
    ) -> Job[None]:
        """Start the service on as many nodes as it had when it was stopped, or on its first ones.

        A node whose machine dies meanwhile is replaced.  When there is no room for all of them,
        ``first`` begins as the service did at first.
        """
        if first and not self.place.resuming:
            self.check_first()
            self.place.nodes.forget_roles()
        roles = self.roles_at_start()
        yield Progress(0, f"asking for {machines(len(roles))}")
        provided = self.place.machines.provide(roles, cloud, meanwhile=self._get_ready)
        yield from scaled(provided, 0, 50)
        yield from scaled(self._bring_up(lambda: self.on_start(self.nodes)), 50, 95)
        yield from scaled(self.make_whole(), 95, 98)
        self.place.nodes.forget_roles()
        self.place.tell_added(self.nodes)

    @expose(
        states=(State.ERROR, State.RUNNING),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.ERROR,
        resumes=True,
        done="Service {service} of application {application} is running again.",
    )
    def repair(self) -> Job[None]:
        """Try again after an error: give up lost nodes, replace those that must be, go on."""
        if self.state is State.RUNNING and not self.place.nodes.lost():
            raise WrongStateError(f"service {self.number} is RUNNING and has no lost nodes")
        yield Progress(0, "looking at the nodes")
        gone = self.place.choose(lambda: self.place.nodes.lost() + self.place.nodes.leaving())
        missing = self.place.remember("missing", self._lacking_roles)
        kept = self._kept_addresses(missing, gone)
        # Those whose address somebody else gets are known until somebody has it.
        without_heir = [node for node in gone if node not in kept]
        yield from scaled(self.place.machines.release(without_heir), 0, 20)
        yield from scaled(self.place.machines.provide(missing, None, kept), 20, 50)
        yield from scaled(self.place.machines.release(gone), 50, 50)
        # Only now: before it is ready, what this job got before a crash looks left over too.
        yield from scaled(self.place.machines.tidy(), 50, 55)
        yield from scaled(self._bring_up(lambda: self.on_start(self.nodes)), 55, 95)
        yield from scaled(self.make_whole(), 95, 98)
        self.place.nodes.forget_roles()

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        costs=True,
    )
    def add_nodes(self, nodes: Counts, cloud: Cloud = None) -> Job[list[NodeInfo]]:
        """Add nodes to the running service."""
        counts = self._to_add(nodes)
        roles = [role for role, count in counts.items() for _ in range(count)]
        yield Progress(0, f"asking for {machines(len(roles))}")
        provided = self.place.machines.provide(roles, cloud, meanwhile=self._get_ready)
        added = yield from scaled(provided, 0, 50)
        try:
            if told := self.place.recall(_GIVEN_UP):
                raise ConPaaSError.from_json(told)
            yield from scaled(self.initialise(added), 50, 60)
            yield from scaled(self.equip(added), 60, 70)
            yield Progress(70, "configuring the new nodes")
            yield from handled(self.on_nodes_added(added), 70, 90)
        except ConPaaSError as error:
            # After a crash there may be only some of them: they go the same way.
            self.place.remember(_GIVEN_UP, error.to_json)
            yield Progress(90, f"giving the new machines back, because: {error}")
            yield from self._part(added, 90, 92)
            yield from scaled(self.place.machines.release(added), 92, 95)
            yield from handled(self.on_nodes_removed(added), 95, 98)
            raise
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
        counts = self._to_remove(nodes)
        yield Progress(0, "choosing the nodes to give up")
        leaving = self.place.choose(
            lambda: [n for role, count in counts.items() for n in self.choose_nodes(role, count)]
        )
        self.place.leave(leaving)
        yield Progress(1, f"draining {', '.join(node.id for node in leaving)}")
        yield from handled(self.on_nodes_leaving(leaving), 1, 40)
        yield from scaled(self.unequip(leaving, for_good=True), 40, 60)
        yield Progress(60, f"giving {machines(len(leaving))} back")
        yield from scaled(self.place.machines.release(leaving), 60, 80)
        yield Progress(80, "telling the other nodes")
        yield from handled(self.on_nodes_removed(leaving), 80, 98)
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
        lost = self.place.choose(self.replaceable)
        yield from self._mend(lost)

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        hidden=True,
    )
    def take_back_nodes(
        self, agent_ids: Annotated[tuple[str, ...], "Lost nodes that answer again"]
    ) -> Job[None]:
        """Take lost nodes in again that have come back."""
        yield Progress(0, f"taking back {', '.join(agent_ids)}")
        found = self.place.nodes.take_back(agent_ids)
        yield from scaled(self.equip(found), 0, 10)
        yield from handled(self.on_nodes_added(found), 10, 98)

    @expose(reads=True)
    def list_nodes(self) -> list[NodeInfo]:
        """List the nodes of the service."""
        return [self._info(node) for node in self.place.nodes.all()]

    # -- must define, may override ------------------------------------------------------------

    @abc.abstractmethod
    def on_start(self, nodes: list[Node]) -> Handled:
        """Make the first nodes serve."""

    def roles_at_start(self) -> tuple[str, ...]:
        """Return the roles of the nodes that ``start`` begins with, by position.

        They are those that there were when it was stopped, at first those of ``first_roles``.  A
        ``repair`` sees to it that the service has them.
        """
        first = self.first_roles or (self.service.default_role.name,)
        return self.place.nodes.noted_roles() or first

    def check_first(self) -> None:
        """Raise when the service must not start with its first nodes only."""

    def on_nodes_leaving(self, nodes: list[Node]) -> Handled:
        """Drain nodes whose machines are about to go."""
        return None

    def on_manager_started(self) -> None:
        """Take up after the manager has come back."""

    def choose_nodes(self, role: str, count: int) -> list[Node]:
        """Return the nodes of a role to give up; default: those with the highest positions.

        So positions have no holes, and what belongs to one is there again after a stop.
        """
        found = [node for node in self.nodes if node.role == role]
        return sorted(found, key=lambda node: (node.position, node.machine))[::-1][:count]

    def roles_of(self, node: Node) -> tuple[str, ...]:
        """Return the roles that a node plays now, its own first: what ``list_nodes`` shows.

        It is asked of lost nodes too, and must not ask the nodes.  How many nodes of a role may
        be removed is counted by the roles that their machines were made for, ``node.role``.
        """
        return (node.role,)

    # -- core's own ---------------------------------------------------------------------------

    def _get_ready(self, nodes: Sequence[Node]) -> Job[None]:
        try:
            yield from self.get_ready(nodes)
        except ConPaaSError as error:
            self.log.warning("it is tried again when the agents answer: %s", error)

    def _lacking_roles(self) -> list[str]:
        """Return the roles of the nodes that a repair has to get."""
        there = Counter(node.role for node in self.nodes)
        replaced = Counter(node.role for node in self.replaceable())
        wanted = Counter(self.roles_at_start()) | (there + replaced)
        return list((wanted - there).elements())

    def _info(self, node: Node) -> NodeInfo:
        return NodeInfo(
            aid=self.place.application,
            sid=self.number,
            role=", ".join(dict.fromkeys((node.role, *self.roles_of(node)))),
            ip=node.address,
            agent_id=node.id,
            cloud=node.cloud,
            state=node.state.value,
        )


__all__ = ["Handled", "Node", "ServiceManager"]
