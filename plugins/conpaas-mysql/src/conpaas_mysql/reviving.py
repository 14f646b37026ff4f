"""How a cluster comes to take queries, and comes back when it does not any more."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from conpaas.errors import AgentError, BusyError, ConPaaSError
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, patiently, scaled
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.faults import (
    Picture,
    check_all_known,
    choose_here,
    may_promote,
    name_of,
    position_of,
)
from conpaas_mysql.looking import MYSQL, LookingManager, ordered
from conpaas_mysql.parts import Position, data_volume


class RevivingManager(LookingManager):
    """Never has two clusters arise, and never gives up what was acknowledged.

    Given to you:
        ``have_primary(databases, without)``.
    """

    #: Seconds that databases which run get to find each other before anything is done to them.
    patience: ClassVar[float] = 15.0

    def have_primary(self, databases: Sequence[Node], without: Sequence[Node]) -> Job[set[str]]:
        """See to it that some databases take queries: what all others follow.

        Args:
            databases: That shall be members, by position.
            without: Nodes that are there and shall not.

        Returns:
            Names of the databases that were started for it.

        Raises:
            AgentError: It cannot be done now without a risk; says what is waited for.
            UnreachableError, BusyError: The same, and before long it is another matter.
        """
        if not databases:
            return set()
        picture = yield from self._wait_for_primary(without)
        if picture.primary:
            self._see(picture)
            return set()
        if not picture.nodes:
            # Since whoever asks has looked last; he looks again.
            raise BusyError("all databases were lost just now: they are replaced first")
        yield from self._fence()
        if self._is_new(picture):
            started = yield from self._create(databases[0])
        elif best := may_promote(picture, self.noted.members):
            yield from self._promote(picture, best)
            started = set()
        else:
            started = yield from self._bootstrap(picture)
        self._see(self.look(without))
        return started

    def _wait_for_primary(self, without: Sequence[Node]) -> Job[Picture]:
        until = time.monotonic() + self.patience
        while True:
            picture = self.look(without)
            picture.check_one_cluster()
            if picture.primary and (late := self._unaware(picture)) and time.monotonic() < until:
                # Before they do, they may still lose the right to take queries.
                yield Progress(0, f"{', '.join(late)} must notice first who is lost")
                time.sleep(min(0.5, self.patience / 10))
                continue
            if picture.primary or not picture.running:
                return picture
            if may_promote(picture, self.noted.members) or time.monotonic() > until:
                return picture
            # A killed server is started again by its machine, and a whole cluster finds together.
            yield Progress(0, "waiting for the databases to find each other")
            time.sleep(min(0.5, self.patience / 10))

    def _unaware(self, picture: Picture) -> list[str]:
        """Return the names of those that take queries and still count on a lost database."""
        nodes = ordered(self.place.nodes.lost(), MYSQL)
        # Who has been told of the others without it knows its address only.
        lost = {name_of(node) for node in nodes} | {node.address for node in nodes}
        return [name for name in picture.primary if lost & set(picture.statuses[name].members)]

    def _see(self, picture: Picture) -> None:
        for name in picture.primary:
            status = picture.statuses[name]
            self.noted.see(status.cluster, status.position)

    def _fence(self) -> Job[None]:
        """Destroy the machines of lost databases: they may run and take queries all the same."""
        if lost := ordered(self.place.nodes.lost(), MYSQL):
            names = ", ".join(name_of(node) for node in lost)
            yield Progress(0, f"destroying what is left of the machines of {names}")
            yield from scaled(self.place.machines.fence(lost), 0, 10)

    def _is_new(self, picture: Picture) -> bool:
        """Whether there never was any data."""
        first = min(picture.nodes, key=lambda name: picture.nodes[name].position)
        if self.noted.cluster or self.noted.members - {first}:
            return False
        check_all_known(picture, ())
        return not any(s.has_data or s.is_running for s in picture.statuses.values())

    def _create(self, node: Node) -> Job[set[str]]:
        name = name_of(node)
        yield Progress(10, f"setting up {name} ({node.address})")
        # Noted before: what is created is looked for after a crash.
        self.noted.add_member(name)
        yield from scaled(self.run_on(node, lambda agent: agent.create_database()), 10, 100)
        return {name}

    def _promote(self, picture: Picture, name: str) -> Job[None]:
        node = picture.nodes[name]
        others = ", ".join(sorted(self.noted.members - picture.component(name))) or "the others"
        yield Progress(50, f"{picture.label(name)} goes on without {others}")
        yield from scaled(self.run_on(node, lambda agent: agent.promote_database()), 50, 100)
        self.place.note(f"{picture.label(name)} had lost {others}: it takes queries again")

    def _bootstrap(self, picture: Picture) -> Job[set[str]]:
        """Have the database go on that has the most, when all have told what they have."""
        given_up = self._given_up()
        check_all_known(picture, self.noted.members - given_up)
        best = picture.survivors[0] if picture.survivors else None
        together = picture.component(best) if best else frozenset[str]()
        apart = picture.statuses.keys() - together
        # Nobody may come up, and find others, while this is decided.
        yield from self._stop(picture, apart)
        positions = self._positions(picture, apart)
        positions |= yield from self._positions_left(picture, given_up)
        if best is not None:
            farthest = max((p.number for p in positions.values() if p.cluster), default=-1)
            if picture.statuses[best].position >= farthest:
                yield from self._promote(picture, best)
                return apart
            yield from self._stop(picture, together)
            positions |= self._positions(picture, together)
        choice = choose_here(positions, self.noted.cluster, picture.nodes.keys())
        if running := self.look().running:
            raise BusyError(f"{', '.join(running)} was started meanwhile: it is looked at again")
        node, number = picture.nodes[choice.name], choice.position.number
        yield Progress(60, f"{picture.label(choice.name)} begins, with transaction {number}")
        yield from scaled(self.run_on(node, lambda agent: agent.bootstrap_database()), 60, 100)
        if self.noted.started:  # forgotten by a stop: then this is no fault
            self.place.note(
                f"no database took queries any more: {picture.label(choice.name)} goes on with "
                f"transaction {number}, the last there is"
            )
        self._tell_of_losses(choice.name, number, positions)
        return set(positions)

    def _given_up(self) -> set[str]:
        """Return the names of members that have no node any more, and get none by themselves."""
        there = {name_of(node) for node in self.place.nodes.all() if node.role == MYSQL}
        return set(self.noted.members - there)

    def _positions_left(
        self, picture: Picture, names: Collection[str]
    ) -> Job[dict[str, Position]]:
        """Look what is on the volumes that given up databases have left, by way of a node."""
        found = {}
        volumes = {volume.name: volume for volume in self.volumes.all()} if names else {}
        for name in sorted(names):
            volume = volumes.get(data_volume(self.number, position_of(name)))
            if volume is None:
                found[name] = Position("", -1, False)
                continue
            node = next((n for n in picture.nodes.values() if n.cloud == volume.cloud), None)
            if node is None:
                raise AgentError(
                    f"the data of {name} may be newer than what is here: add a node in the cloud "
                    f"{volume.cloud}, which can look at it"
                )
            yield Progress(50, f"looking what {name} has left on the volume {volume.name}")
            # It goes on belonging to the position that it had.
            as_before = replace(node, position=position_of(name))
            volume = yield from scaled(self.volumes.attach(volume, as_before), 50, 50)
            ask = partial(self.agent(node).recover_position, volume=volume.name)
            (answer,) = self.place.at_once([ask])
            yield from scaled(self.volumes.detach(volume), 50, 50)
            if isinstance(answer, ConPaaSError):
                raise answer
            found[name] = answer
        return found

    def _tell_of_losses(self, name: str, number: int, positions: dict[str, Position]) -> None:
        empty = [
            n for n in sorted(self.noted.members) if n in positions and not positions[n].cluster
        ]
        if empty and number < self.noted.least:
            self.place.note(
                f"{name} goes on from transaction {number}, although {self.noted.least} was seen: "
                f"what came after it was on the volumes of {', '.join(empty)}, which are empty"
            )
        elif number < self.noted.least:
            self.log.info("%s begins with %d; %d was seen", name, number, self.noted.least)

    def _stop(self, picture: Picture, names: Collection[str]) -> Job[None]:
        if names:
            yield Progress(0, f"stopping {', '.join(sorted(names))}")
            nodes = [picture.nodes[name] for name in sorted(names)]
            yield from scaled(self.run_all(_stopping, nodes), 0, 50)

    def _positions(self, picture: Picture, names: Collection[str]) -> dict[str, Position]:
        in_order = sorted(names)
        nodes = [picture.nodes[name] for name in in_order]
        answers = self.ask_all(lambda agent: agent.recover_position(), nodes)
        return dict(zip(in_order, answers, strict=True))


def _stopping(agent: MysqlAgent) -> Job[None]:
    return patiently(lambda: agent.stop_database())
