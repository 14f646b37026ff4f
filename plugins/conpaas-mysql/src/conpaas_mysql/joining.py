"""How databases come into a cluster, and what is done for the others meanwhile.

A copy of much data takes an hour.  Until it is there nobody else looks after the service: so the
others are looked at all the time, and what faults need is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from conpaas.errors import AgentError, ConPaaSError
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, scaled
from conpaas_mysql.equipping import EquippingManager, Round
from conpaas_mysql.faults import Picture, name_of
from conpaas_mysql.joiners import Joiners
from conpaas_mysql.looking import MYSQL

#: How often the members of a cluster may lose each other while others join.
_REVIVALS = 3


class JoiningManager(EquippingManager):
    """Has databases join, and answers what happens to the others at the same time.

    Given to you:
        ``join(round)``, ``give_up_machine(node)``.
    """

    #: Seconds between two looks at all nodes.
    glance: ClassVar[float] = 2.0
    #: Seconds that those who join wait for somebody to take queries again.
    endurance: ClassVar[float] = 60.0

    def join(self, this: Round) -> Job[None]:
        """Have the others follow those that take queries; one fewer at a time than those are.

        Raises:
            AgentError: One of those that were to join cannot, if the round is strict.
        """
        joiners = Joiners(lambda node: self.run_on(node, lambda agent: agent.join_database()))
        if self.place.resuming:
            # A node that was put in the place of a lost one before a crash may lack its volumes.
            softly = replace(this, strict=False)
            yield from self.attempt(softly, self.equip(self.nodes), 0, 0)
        try:
            yield from self._join(this, joiners)
        finally:
            joiners.close()

    def give_up_machine(self, node: Node) -> Job[None]:
        """Note that a node is lost, and make sure that no database runs there any more."""
        name = name_of(node) if node.role == MYSQL else f"{node.role}-{node.position + 1}"
        self.place.note(f"{name} ({node.address}) is lost: it is replaced")
        if node.role == MYSQL:
            yield from self.place.machines.fence([node])

    # -- those that join ----------------------------------------------------------------------

    def _join(self, this: Round, joiners: Joiners) -> Job[None]:
        revivals, leaderless, words, share, look_at = 0, 0.0, "", 0, 0.0
        while True:
            for name, error in joiners.advance():
                if error is not None and not joiners.may_try_again(name):
                    self._fail_of(this, joiners, name, error)
            if joiners.nodes and time.monotonic() < look_at:
                yield Progress(share, words)
                continue
            look_at = time.monotonic() + self.glance
            yield from self._attend(this, joiners)
            picture = self.look(this.without)
            share, words = joiners.share(picture), joiners.words(picture)
            if this.databases and not picture.primary and revivals < _REVIVALS:
                # Who loses the others is primary until it has noticed.
                leaderless = leaderless or time.monotonic()
                joiners.disturb()
                try:
                    this.planned |= yield from self.have_primary(this.databases, this.without)
                except ConPaaSError as error:
                    if not joiners.nodes or time.monotonic() - leaderless > self.endurance:
                        raise
                    yield Progress(share, str(error))
                else:
                    revivals, leaderless = revivals + 1, 0.0
                continue
            missing = self._missing(this, joiners, picture)
            if not this.strict:
                running = [n for n in missing if self._may_come_back(picture, n)]
                if running and time.monotonic() < this.until:
                    yield Progress(share, f"waiting for {', '.join(running)}")
                    time.sleep(min(0.5, self.patience / 10))
                    continue
                this.away.clear()
                this.away.update(running)
                missing = [n for n in missing if n not in running]
            room = max(1, len(picture.ready) - 1) - len(joiners.nodes)
            for name in missing:
                # Who was a member just now lacks little, and nobody stands still for it.
                is_back = not joiners.is_owed(name) and picture.statuses[name].has_data
                if room > 0 or is_back:
                    room -= 1
                    self._begin(this, joiners, picture, name)
            if not joiners.nodes:
                return
            share, words = joiners.share(picture), joiners.words(picture)

    def _may_come_back(self, picture: Picture, name: str) -> bool:
        """Whether a database that is missing may be a member again by itself."""
        return picture.statuses[name].is_running and not picture.is_forgotten(name)

    def _missing(self, this: Round, joiners: Joiners, picture: Picture) -> list[str]:
        """Return the names of those that may be had join now."""
        names = [name_of(node) for node in this.databases]
        lacking = {name for name in names if not picture.takes_queries(name)}
        if joiners.owed is None:
            joiners.owed = lacking
        for name in sorted(lacking & picture.silent.keys()):
            # Whoever falls silent meanwhile counts as lost before long, or is back.
            if joiners.may_try(name) and (joiners.is_owed(name) or not joiners.nodes):
                joiners.leave_alone(name)
                error = AgentError(f"{picture.label(name)}: {picture.silent[name]}")
                self._fail_of(this, joiners, name, error)
        return [n for n in names if n in lacking & picture.statuses.keys() and joiners.may_try(n)]

    def _begin(self, this: Round, joiners: Joiners, picture: Picture, name: str) -> None:
        self.noted.add_member(name)
        if name not in self.noted.started:
            this.planned.add(name)
        joiners.add(name, picture.nodes[name])

    def _fail_of(self, this: Round, joiners: Joiners, name: str, error: ConPaaSError) -> None:
        """Fail because of a database, if it was to join; what befalls others is mended later."""
        self.fail(this if joiners.is_owed(name) else replace(this, strict=False), error)

    # -- the others ---------------------------------------------------------------------------

    def _attend(self, this: Round, joiners: Joiners) -> Job[None]:
        """Answer that machines were lost since the round has begun."""
        # Who shall be no member is given back by whom this is done for.
        known = this.lost | {node.id for node in this.without}
        lost = [node for node in self.place.nodes.lost() if node.id not in known]
        if not lost:
            return
        this.lost |= {node.id for node in lost}
        joining = {node.id: name for name, node in joiners.nodes.items()}
        for node in lost:
            if name := joining.get(node.id):
                joiners.drop(name)
                told = f"{name} ({node.address}): its machine was lost while it joined"
                self._fail_of(this, joiners, name, AgentError(told))
        self._count_databases(this)
        others = [node for node in lost if node.id not in joining]
        joiners.disturb()
        # Nobody waits for this: what fails is tried again when those that join have come in.
        softly = replace(this, strict=False)
        for node in others:
            yield from self.attempt(softly, self.give_up_machine(node), 0, 100)
        yield from self.attempt(softly, self._go_on(this), 0, 100)
        yield from self.attempt(softly, self.balance(softly), 0, 100)
        replaceable = {node.id for node in self.replaceable()}
        if others := [node for node in others if node.id in replaceable]:
            yield from self.attempt(softly, self._replace(softly, others), 0, 100)

    def _go_on(self, this: Round) -> Job[None]:
        """Have survivors take queries, before anything that takes long."""
        if this.databases and not self.look(this.without).primary:
            this.planned |= yield from self.have_primary(this.databases, this.without)

    def _replace(self, this: Round, lost: Sequence[Node]) -> Job[None]:
        added = yield from scaled(self.exchange(lost), 0, 70)
        self._count_databases(this)
        yield from scaled(self.bring_volumes(this), 70, 80)
        yield from scaled(self.configure(this), 80, 90)
        yield from scaled(self.balance(this), 90, 100)
        self.place.tell_removed(list(lost))
        self.place.tell_added(added)

    def _count_databases(self, this: Round) -> None:
        """Note in a round which databases there are now."""
        gone = {node.id for node in this.without}
        this.databases[:] = [node for node in self.databases if node.id not in gone]
