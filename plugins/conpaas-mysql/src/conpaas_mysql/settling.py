"""How a cluster gets from whatever is there to where it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from conpaas.errors import AgentError, ConPaaSError
from conpaas.manager.base import Node
from conpaas.manager.nodes import NodeState
from conpaas.rpc import Job, Progress, patiently, scaled
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.faults import Picture, name_of, position_of
from conpaas_mysql.haproxy import MOST_CONNECTIONS
from conpaas_mysql.looking import GLB, MYSQL, ordered
from conpaas_mysql.parts import BalancerPart, DatabasePart, Member, data_volume
from conpaas_mysql.secrets import cluster_secrets
from conpaas_mysql.settings import MysqlConfig
from conpaas_mysql.telling import TellingManager

#: How often the members of a cluster may lose each other while others join.
_REVIVALS = 3


@dataclass
class _Round:
    """One time of settling.

    Args:
        config: The settings to settle for.
        databases: That shall be members, by position.
        without: Nodes that are there and shall not.
        strict: Whether the first failure ends it.
        until: How long running databases are waited for, where it is not strict.
        failures: What failed and was passed over.
        planned: Names of databases that were started on purpose: nothing has happened to them.
        away: Names of those that run and are cut off.
        picture: Of all databases, while nothing was done since it was taken.
    """

    config: MysqlConfig
    databases: list[Node]
    without: list[Node]
    strict: bool
    until: float
    failures: list[str] = field(default_factory=list)
    planned: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    picture: Picture | None = None


class SettlingManager(TellingManager):
    """Directs databases and balancers: one way leads from any state to the right one.

    Given to you:
        ``settle()`` (idempotent; every handler calls it), ``settle_anyhow()``,
        ``stop_in_order(nodes)``, ``drain(nodes)``.
    """

    def settle(
        self,
        config: MysqlConfig | None = None,
        without: Sequence[Node] = (),
        *,
        strict: bool = True,
    ) -> Job[list[str]]:
        """Bring all nodes to where they belong; repeated, or after a crash, it does what is left.

        Balancers learn of databases that take queries only.

        Args:
            config: The settings to settle for; default: those that are set.
            without: Nodes that are there and shall be no members.
            strict: The first failure ends it; else the rest is done all the same.

        Returns:
            What failed and was passed over; it is tried again before long.

        Raises:
            AgentError: Something failed: what, and on which node.
        """
        self.noted.is_unsettled = True
        gone = {node.id for node in without}
        databases = [node for node in self.databases if node.id not in gone]
        until = time.monotonic() + self.patience
        this = _Round(config or self.config, databases, list(without), strict, until)
        yield from scaled(self._leave_out(this), 0, 2)
        yield from self._try(this, self._bring_volumes(this), 2, 15)
        yield from self._try(this, self._configure(this), 15, 20)
        this.planned |= yield from scaled(self.have_primary(databases, this.without), 20, 45)
        yield from self._try(this, self._join(this), 45, 75)
        yield from self._try(this, self._balance(this), 75, 80)
        yield from self._try(this, self._restart(this), 80, 95)
        yield from self._try(this, self._clear(this), 95, 100)
        picture = self._picture(this)
        if databases and not picture.primary:
            raise AgentError("no database takes queries any more: it is tried again")
        self.tell(picture, this.config, this.planned, this.away)
        self.noted.roles = [n.role for n in self._there() if n.id not in gone]
        if not this.failures and not without:
            self.noted.is_unsettled = False
        return this.failures

    def settle_anyhow(self, without: Sequence[Node] = ()) -> Job[None]:
        """Settle as far as it goes: what fails is told, and tried again before long."""
        try:
            yield from self.settle(without=without, strict=False)
        except ConPaaSError as error:
            self.log.warning("the cluster is not settled yet: %s", error)
            yield Progress(100, f"going on, although: {error}")

    def stop_in_order(self, nodes: Sequence[Node]) -> Job[None]:
        """Stop databases one after the other, and note how far each was; all are tried.

        Raises:
            AgentError: Some could not be stopped.
        """
        failures = []
        for place, node in enumerate(nodes):
            name, low, high = name_of(node), *_share(place, len(nodes))
            yield Progress(low, f"stopping {name} ({node.address})")
            try:
                stopping = self.run_on(node, lambda agent: agent.stop_database())
                yield from scaled(stopping, low, high)
                (position,) = self.ask_all(lambda agent: agent.recover_position(), [node])
            except ConPaaSError as error:
                self.log.warning("%s is not stopped in order: %s", name, error)
                failures.append(str(error))
                continue
            if position.cluster:
                self.noted.leave(name, position.number)
                self.noted.see(position.cluster, position.number)
        if failures:
            raise AgentError("; ".join(failures))

    def drain(self, nodes: Sequence[Node]) -> Job[None]:
        """Have balancers let the sessions of databases end; what fails keeps nothing from it."""
        told = self._all_balancers()
        for node in nodes if told else ():
            name = name_of(node)
            yield Progress(0, f"draining {name} ({node.address})")
            try:
                yield from self.run_all(_draining(name), told)
            except ConPaaSError as error:
                self.log.warning("not all balancers drain %s: %s", name, error)

    # -- the steps ----------------------------------------------------------------------------

    def _leave_out(self, this: _Round) -> Job[None]:
        """Stop those that shall be no members."""
        for node in ordered(this.without, MYSQL):
            yield Progress(0, f"stopping {name_of(node)} ({node.address})")
            try:
                yield from self.run_on(node, lambda agent: agent.stop_database())
            except ConPaaSError as error:
                # Its machine goes next; it has nothing that the others lack.
                self.log.warning("%s is not stopped: %s", name_of(node), error)

    def _bring_volumes(self, this: _Round) -> Job[None]:
        """Bring each database the volume of its data, made new if there is none."""
        for place, node in enumerate(this.databases):
            name = data_volume(self.number, node.position)
            # What is noted needs no director: faults are answered while it is away, too.
            if self.noted.mounted.get(name) == node.machine:
                continue
            share = _share(place, len(this.databases))
            yield from self._try(this, self._bring_volume(this, node, name), *share)

    def _bring_volume(self, this: _Round, node: Node, name: str) -> Job[None]:
        yield from self.volumes.ensure(node, name, this.config.volume_size)
        self.noted.mounted = {**self.noted.mounted, name: node.machine}

    def _configure(self, this: _Round) -> Job[None]:
        """Tell each database what it needs to know."""
        secrets = cluster_secrets(self.store, self.cluster_name)
        there = [*this.databases, *ordered(self.place.nodes.leaving(), MYSQL)]
        members = sorted((Member(name_of(n), n.address) for n in there), key=lambda m: m.name)
        calls = [
            partial(
                self.agent(node).configure_database,
                part=DatabasePart(
                    cluster=self.cluster_name,
                    name=name_of(node),
                    members=tuple(members),
                    volume=data_volume(self.number, node.position),
                    settings=this.config.to_server(),
                    transfer=self.store.get("transfer", "rsync"),
                ),
                secrets=secrets,
            )
            for node in this.databases
        ]
        for node, answer in zip(this.databases, self.place.at_once(calls), strict=True):
            if isinstance(answer, ConPaaSError):
                self._fail(this, AgentError(f"{node.id} ({node.address}): {answer}"))
        yield Progress(100, "the databases are told")

    def _join(self, this: _Round) -> Job[None]:
        """Have the others follow those that take queries; one fewer at a time than those are."""
        tried: set[str] = set()
        revived = 0
        while True:
            picture = this.picture = self.look(this.without)
            if this.databases and not picture.primary and revived < _REVIVALS:
                # Who loses the others is primary until it has noticed.
                revived += 1
                this.planned |= yield from self.have_primary(this.databases, this.without)
                continue
            names = [name_of(node) for node in this.databases]
            for name in sorted(set(names) & picture.silent.keys() - tried):
                tried.add(name)
                self._fail(this, AgentError(f"{picture.label(name)}: {picture.silent[name]}"))
            missing = [n for n in names if n in picture.statuses and n not in tried]
            missing = [n for n in missing if not picture.takes_queries(n)]
            if not this.strict:
                running = [n for n in missing if picture.statuses[n].is_running]
                if running and time.monotonic() < this.until:
                    yield Progress(0, f"waiting for {', '.join(running)}")
                    time.sleep(min(0.5, self.patience / 10))
                    continue
                this.away |= set(running)
                missing = [n for n in missing if n not in running]
            if not missing:
                return
            batch = missing[: max(1, len(picture.ready) - 1)]
            tried |= set(batch)
            yield from self._try(this, self._join_some(this, picture, batch), 0, 100)

    def _join_some(self, this: _Round, picture: Picture, names: Sequence[str]) -> Job[None]:
        this.picture = None
        for name in names:
            self.noted.add_member(name)
            if name not in self.noted.started:
                this.planned.add(name)
        yield Progress(0, f"{', '.join(map(picture.label, names))} joining")
        yield from self.run_all(_joining, [picture.nodes[name] for name in names])

    def _balance(self, this: _Round, but: str = "") -> Job[None]:
        """Tell the balancers which databases there are: those that have taken queries."""
        if not self._all_balancers():
            self.noted.balanced = ()
            return
        picture, known = self.look(this.without), self.noted.balanced
        this.picture = None
        servers = [
            Member(name_of(node), node.address)
            for node in this.databases
            if name_of(node) in known or picture.takes_queries(name_of(node))
            if name_of(node) != but
        ]
        if not servers:
            return
        part = BalancerPart(
            servers=tuple(servers),
            single_writer=this.config.is_single_writer,
            connections=_connections(this.config, len(servers)),
        )
        gone = {node.id for node in this.without}
        for node, answer in self.ask_each(
            lambda agent: agent.run_balancer(part=part),
            [node for node in self._all_balancers() if node.id not in gone],
        ):
            if not isinstance(answer, ConPaaSError):
                continue
            if node in self.balancers:
                self._fail(this, AgentError(f"{node.id} ({node.address}): {answer}"))
            else:
                self.log.warning("%s, which leaves, is not told: %s", node.id, answer)
        self.noted.balanced = [server.name for server in servers]
        yield Progress(100, "the balancers are told")

    def _restart(self, this: _Round) -> Job[None]:
        """Start databases again that have to be for their settings, one after the other."""
        picture = self._picture(this)
        for node in reversed(this.databases):
            name = name_of(node)
            if name not in picture.primary or not picture.statuses[name].outdated:
                continue
            this.picture = None
            this.planned.add(name)
            self.noted.started = {n: at for n, at in self.noted.started.items() if n != name}
            if set(self.look(this.without).ready) - {name}:
                yield Progress(0, f"starting {name} again; the others answer meanwhile")
                yield from self.drain([node])
                yield from self._balance(this, but=name)
                yield from self.run_on(node, lambda agent: agent.stop_database())
                yield from self.run_on(node, lambda agent: agent.join_database())
                yield from self._balance(this)
            else:
                yield Progress(0, f"starting {name} again; it is the only one: nobody answers")
                yield from self.run_on(node, lambda agent: agent.stop_database())
                yield from self.have_primary(this.databases, this.without)

    def _clear(self, this: _Round) -> Job[None]:
        """Delete the data of databases that were given up: the others have it all."""
        names = {name_of(node) for node in self.place.nodes.all() if node.role == MYSQL}
        if not self.noted.members - names or not self.look(this.without).primary:
            return
        this.picture = None
        volumes = {volume.name: volume for volume in self.volumes.all()}
        for name in sorted(self.noted.members - names):
            volume = volumes.get(data_volume(self.number, position_of(name)))
            if volume is not None:
                yield Progress(0, f"deleting the volume {volume.name}: the others have its data")
                yield from self.volumes.delete(volume)
            self.noted.drop_member(name)

    # -- how it is done -----------------------------------------------------------------------

    def _picture(self, this: _Round) -> Picture:
        """Return how the databases are; they are not asked again when nothing was done since."""
        if this.picture is None:
            this.picture = self.look(this.without)
        return this.picture

    def _try(self, this: _Round, step: Job[None], low: int, high: int) -> Job[None]:
        try:
            yield from scaled(step, low, high)
        except ConPaaSError as error:
            self._fail(this, error)
            yield Progress(high, f"going on, although: {error}")

    def _fail(self, this: _Round, error: ConPaaSError) -> None:
        if this.strict:
            raise error
        this.failures.append(str(error))
        self.log.warning("going on, although: %s", error)

    def _all_balancers(self) -> list[Node]:
        # Those that leave have connections still: they must not send them to who leaves too.
        return [*self.balancers, *ordered(self.place.nodes.leaving(), GLB)]

    def _there(self) -> list[Node]:
        going = (NodeState.LEAVING, NodeState.JOINING)
        return [node for node in self.place.nodes.all() if node.state not in going]


def _share(place: int, count: int) -> tuple[int, int]:
    return 100 * place // count, 100 * (place + 1) // count


def _connections(config: MysqlConfig, databases: int) -> int:
    """Return how many connections a balancer takes: as many as it can give to somebody."""
    count = config.max_connections * (1 if config.is_single_writer else databases)
    return min(MOST_CONNECTIONS, count)


def _joining(agent: MysqlAgent) -> Job[None]:
    return patiently(lambda: agent.join_database())


def _draining(name: str) -> Callable[[MysqlAgent], Job[int]]:
    return lambda agent: patiently(lambda: agent.drain_server(name=name))
