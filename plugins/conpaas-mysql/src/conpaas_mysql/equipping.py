"""Tells the nodes of a cluster what they need to know, as far as that goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from conpaas.errors import AgentError, ConPaaSError
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, scaled, share_of
from conpaas_mysql.faults import name_of
from conpaas_mysql.haproxy import MOST_CONNECTIONS
from conpaas_mysql.looking import GLB, MYSQL, ordered
from conpaas_mysql.parts import BalancerPart, DatabasePart, Member, data_volume
from conpaas_mysql.secrets import cluster_secrets
from conpaas_mysql.settings import MysqlConfig
from conpaas_mysql.telling import TellingManager


@dataclass
class Round:
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
        lost: Ids of the lost nodes that are answered for: by this, or by who has begun it.
        mends: Nobody else replaces what is lost: those that were to join do not fail by that.
    """

    config: MysqlConfig
    databases: list[Node]
    without: list[Node]
    strict: bool
    until: float
    mends: bool = False
    failures: list[str] = field(default_factory=list)
    planned: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


class EquippingManager(TellingManager):
    """Brings databases and balancers what is theirs; every step may be repeated.

    Given to you:
        ``attempt(round, step, low, high)`` and ``fail(round, error)``: what fails ends a strict
        round only; ``bring_volumes(round)``, ``bring_volume(round, node)``, ``configure(round)``,
        ``balance(round, but)``, ``apart(round)``, ``all_balancers()``.
    """

    def bring_volumes(self, this: Round) -> Job[None]:
        """Bring each database the volume of its data, made new if there is none."""
        for place, node in enumerate(this.databases):
            name = data_volume(self.number, node.position)
            # What is noted needs no director: faults are answered while it is away, too.
            if self.noted.mounted.get(name) == node.machine:
                continue
            share = share_of(place, len(this.databases))
            yield from self.attempt(this, self.bring_volume(this, node), *share)

    def get_ready(self, nodes: Sequence[Node]) -> Job[None]:
        """Have each database's volume made, if there is none, and attached."""
        yield from scaled(super().get_ready(nodes), 0, 50)
        for node in ordered(nodes, MYSQL):
            name = data_volume(self.number, node.position)
            self._note_empty(node, name)
            yield from self.volumes.ensure_ahead(node, name, self.config.volume_size)

    def bring_volume(self, this: Round, node: Node) -> Job[None]:
        """Bring one database the volume of its data."""
        name = data_volume(self.number, node.position)
        self._note_empty(node, name)
        yield from self.volumes.ensure(node, name, this.config.volume_size)
        self.noted.mounted = {**self.noted.mounted, name: node.machine}

    def configure(self, this: Round) -> Job[None]:
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
                self.fail(this, AgentError(f"{node.id} ({node.address}): {answer}"))
        yield Progress(100, "the databases are told")

    def balance(self, this: Round, but: str = "") -> Job[None]:
        """Tell the balancers which databases there are: those that have taken queries."""
        if not self.all_balancers():
            self.noted.balanced = ()
            return
        picture, known = self.look(self.apart(this)), self.noted.balanced
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
            [node for node in self.all_balancers() if node.id not in gone],
        ):
            if not isinstance(answer, ConPaaSError):
                continue
            if node in self.balancers:
                self.fail(this, AgentError(f"{node.id} ({node.address}): {answer}"))
            else:
                self.log.warning("%s, which leaves, is not told: %s", node.id, answer)
        self.noted.balanced = [server.name for server in servers]
        yield Progress(100, "the balancers are told")

    # -- failures -----------------------------------------------------------------------------

    def attempt(self, this: Round, step: Job[None], low: int, high: int) -> Job[None]:
        """Do a step; if the round is not strict, go on when it fails."""
        try:
            yield from scaled(step, low, high)
        except ConPaaSError as error:
            self.fail(this, error)
            yield Progress(high, f"going on, although: {error}")

    def fail(self, this: Round, error: ConPaaSError) -> None:
        """End a strict round; in another one, note what failed."""
        if this.strict:
            raise error
        this.failures.append(str(error))
        self.log.warning("going on, although: %s", error)

    def _note_empty(self, node: Node, volume: str) -> None:
        """Note a volume that is about to be made: it goes again if its database gets no data."""
        if all(one.name != volume for one in self.volumes.all()):
            self.noted.add_empty(name_of(node))
            # Where its node does not come, nobody asks for more: it is looked at before long.
            self.noted.is_unsettled = True

    def apart(self, this: Round) -> list[Node]:
        """Return the databases that are there and no members, or not yet."""
        members = {node.id for node in this.databases}
        return [*this.without, *(node for node in self.databases if node.id not in members)]

    def all_balancers(self) -> list[Node]:
        """Return the balancers, those that leave too: they have connections still."""
        # They must not send them to a database that leaves too.
        return [*self.balancers, *ordered(self.place.nodes.leaving(), GLB)]


def _connections(config: MysqlConfig, databases: int) -> int:
    """Return how many connections a balancer takes: as many as it can give to somebody."""
    count = config.max_connections * (1 if config.is_single_writer else databases)
    return min(MOST_CONNECTIONS, count)
