"""How a cluster gets from whatever is there to where it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conpaas.errors import AgentError, BusyError, ConPaaSError, UnreachableError
from conpaas.manager.base import Node
from conpaas.manager.nodes import NodeState
from conpaas.rpc import Job, Progress, patiently, scaled, share_of
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.equipping import Round
from conpaas_mysql.faults import name_of, position_of
from conpaas_mysql.joining import JoiningManager
from conpaas_mysql.looking import MYSQL, ordered
from conpaas_mysql.parts import data_volume
from conpaas_mysql.settings import MysqlConfig


class SettlingManager(JoiningManager):
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
        mends: bool = False,
        answered: Sequence[Node] | None = None,
    ) -> Job[list[str]]:
        """Bring all nodes to where they belong; repeated, or after a crash, it does what is left.

        Balancers learn of databases that take queries only.

        Args:
            config: The settings to settle for; default: those that are set.
            without: Nodes that are there and shall be no members.
            strict: The first failure ends it; else the rest is done all the same.
            mends: Nobody else replaces nodes that are lost, before it or meanwhile.
            answered: Lost nodes that are somebody else's; default: those that were lost before
                the present job began, as far as that is known.

        Returns:
            What failed and was passed over; it is tried again before long.

        Raises:
            AgentError: Something failed: what, and on which node.
        """
        self.noted.is_unsettled = True
        self.noted.forget_left()
        gone = {node.id for node in without}
        databases = [node for node in self.databases if node.id not in gone]
        until = time.monotonic() + self.patience
        this = Round(config or self.config, databases, list(without), strict, until, mends)
        if answered is None:
            # After a crash it is not known any more: some of them were this job's.
            replaces_all = mends or self.place.resuming
            answered = [] if replaces_all else self.place.nodes.lost()
        this.lost |= {node.id for node in answered}
        yield from scaled(self._leave_out(this), 0, 2)
        yield from self.attempt(this, self.bring_volumes(this), 2, 15)
        yield from self.attempt(this, self.configure(this), 15, 20)
        yield from scaled(self._take_queries(this), 20, 45)
        yield from self.attempt(this, self.join(this), 45, 75)
        yield from self.attempt(this, self.balance(this), 75, 80)
        yield from self.attempt(this, self._restart(this), 80, 95)
        yield from self.attempt(this, self._clear(this), 95, 100)
        picture = self.look(self.apart(this))
        if databases and not picture.primary:
            raise AgentError("no database takes queries any more: it is tried again")
        self.tell(picture, this.config, this.planned, this.away)
        if not this.failures and not without:
            self.noted.is_unsettled = False
        return this.failures

    def settle_anyhow(
        self, without: Sequence[Node] = (), answered: Sequence[Node] | None = None
    ) -> Job[None]:
        """Settle as far as it goes: what fails is told, and tried again before long."""
        try:
            yield from self.settle(without=without, strict=False, answered=answered)
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
            name, low, high = name_of(node), *share_of(place, len(nodes))
            yield Progress(low, f"stopping {name} ({node.address})")
            try:
                stopping = self.run_on(node, lambda agent: agent.stop_database())
                yield from scaled(stopping, low, high)
                (position,) = self.ask_all(lambda agent: agent.recover_position(), [node])
            except ConPaaSError as error:
                self.log.warning("%s is not stopped in order: %s", name, error)
                failures.append(str(error))
                continue
            self.noted.leave(name, position.number if position.cluster else -1)
            if position.cluster:
                self.noted.see(position.cluster, position.number)
        if failures:
            raise AgentError("; ".join(failures))

    def drain(self, nodes: Sequence[Node]) -> Job[None]:
        """Have balancers let the sessions of databases end; what fails keeps nothing from it."""
        told = self.all_balancers()
        for node in nodes if told else ():
            name = name_of(node)
            yield Progress(0, f"draining {name} ({node.address})")
            try:
                yield from self.run_all(_draining(name), told)
            except ConPaaSError as error:
                self.log.warning("not all balancers drain %s: %s", name, error)

    # -- the steps ----------------------------------------------------------------------------

    def _leave_out(self, this: Round) -> Job[None]:
        """Stop those that shall be no members."""
        for node in ordered(this.without, MYSQL):
            yield Progress(0, f"stopping {name_of(node)} ({node.address})")
            try:
                yield from self.run_on(node, lambda agent: agent.stop_database())
            except ConPaaSError as error:
                # Its machine goes next; it has nothing that the others lack.
                self.log.warning("%s is not stopped: %s", name_of(node), error)

    def _take_queries(self, this: Round) -> Job[None]:
        """Have some take queries, unless it is the data of lost ones that is waited for."""
        until = time.monotonic() + self.endurance
        while True:
            try:
                this.planned |= yield from self.have_primary(this.databases, self.apart(this))
                return
            except ConPaaSError as error:
                lost = {node.id for node in ordered(self.place.nodes.lost(), MYSQL)}
                if lost - this.lost:
                    yield Progress(100, f"replacing first what is lost, because: {error}")
                    return
                is_passing = isinstance(error, UnreachableError | BusyError)
                if not is_passing or time.monotonic() > until:
                    raise
                yield Progress(0, str(error))
            time.sleep(min(0.5, self.glance))

    def _restart(self, this: Round) -> Job[None]:
        """Start databases again that have to be for their settings, one after the other."""
        picture = self.look(self.apart(this))
        for node in reversed(this.databases):
            name = name_of(node)
            if name not in picture.primary or not picture.statuses[name].outdated:
                continue
            this.planned.add(name)
            self.noted.expect_start(name)
            if set(self.look(self.apart(this)).ready) - {name}:
                yield Progress(0, f"starting {name} again; the others answer meanwhile")
                yield from self.drain([node])
                yield from self.balance(this, but=name)
                yield from self.run_on(node, lambda agent: agent.stop_database())
                yield from self.join(this)
                yield from self.balance(this)
            else:
                yield Progress(0, f"starting {name} again; it is the only one: nobody answers")
                yield from self.run_on(node, lambda agent: agent.stop_database())
                yield from self.have_primary(this.databases, self.apart(this))

    def _clear(self, this: Round) -> Job[None]:
        """Delete the data of databases that were given up: the others have it all."""
        names = {name_of(node) for node in self.place.nodes.all() if node.role == MYSQL}
        gone = (self.noted.members | self.noted.empty) - names
        if not gone or not self.look(self.apart(this)).primary:
            return
        volumes = {volume.name: volume for volume in self.volumes.all()}
        for name in sorted(gone):
            volume = volumes.get(data_volume(self.number, position_of(name)))
            if volume is not None:
                yield Progress(0, f"deleting the volume {volume.name}: the others have its data")
                yield from self.volumes.delete(volume)
            self.noted.drop_member(name)

    # -- how it is done -----------------------------------------------------------------------

    def _there(self) -> list[Node]:
        going = (NodeState.LEAVING, NodeState.JOINING)
        return [node for node in self.place.nodes.all() if node.state not in going]


def _draining(name: str) -> Callable[[MysqlAgent], Job[int]]:
    return lambda agent: patiently(lambda: agent.drain_server(name=name))
