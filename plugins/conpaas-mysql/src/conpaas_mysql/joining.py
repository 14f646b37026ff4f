"""How databases come into a cluster, and what is done for the others meanwhile.

A copy of much data takes an hour.  Until it is there nobody else looks after the service: so the
others are looked at all the time, and what faults need is done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

from conpaas.errors import AgentError, ConPaaSError
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, scaled
from conpaas_mysql.equipping import EquippingManager, Round
from conpaas_mysql.faults import Picture, name_of
from conpaas_mysql.joiners import Joiners
from conpaas_mysql.looking import MYSQL
from conpaas_mysql.replacements import Replacements

#: How often the members of a cluster may lose each other while others join.
_REVIVALS = 3


@dataclass
class _Course:
    """How joining goes: when to look again, what is told until then, what has befallen it.

    Args:
        glance: Seconds between two looks.
        look_at: When the next look is due.
        step: What is told.
        revivals: How often nobody took queries any more, and somebody does again.
        leaderless: Since when nobody takes queries; 0 when somebody does.
    """

    glance: float
    look_at: float = 0.0
    step: Progress = field(default_factory=lambda: Progress(0, ""))
    revivals: int = 0
    leaderless: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to look at all nodes."""
        return time.monotonic() >= self.look_at

    def begin_to_look(self) -> None:
        """Note that all nodes are looked at now."""
        self.look_at = time.monotonic() + self.glance

    def waits_beside(self, joiners: Joiners, replacements: Replacements) -> bool:
        """Return whether there is nothing to do until the next look; wait a bit where all do."""
        at_work = bool(joiners.nodes or replacements)
        if self.is_due or not (at_work or self.leaderless):
            return False
        if not at_work:
            time.sleep(min(0.5, self.glance / 4))
        return True

    def note(self, joiners: Joiners, replacements: Replacements, picture: Picture) -> None:
        """Note how far those are that join, and those that are replaced."""
        words = "; ".join(filter(None, [joiners.words(picture), *replacements.words()]))
        self.step = Progress(joiners.share(picture), words)


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
        # Nobody waits for these: what fails is tried again when those that join have come in.
        softly = replace(this, strict=False)
        replacements = Replacements(lambda node: self._replace(softly, node))
        if self.place.resuming:
            # A node that was put in the place of a lost one before a crash may lack its volumes.
            yield from self.attempt(softly, self.equip(self.nodes), 0, 0)
        try:
            yield from self._join(this, joiners, replacements)
        finally:
            joiners.close()
            replacements.close()

    def give_up_machine(self, node: Node) -> Job[None]:
        """Note that a node is lost, and make sure that no database runs there any more."""
        name = name_of(node) if node.role == MYSQL else f"{node.role}-{node.position + 1}"
        self.place.note(f"{name} ({node.address}) is lost: it is replaced")
        if node.role == MYSQL:
            yield from self.place.machines.fence([node])

    # -- those that join ----------------------------------------------------------------------

    def _join(self, this: Round, joiners: Joiners, replacements: Replacements) -> Job[None]:
        course = _Course(self.glance)
        while True:
            for failure in replacements.advance():
                self.fail(replace(this, strict=False), failure)
            if replacements and not course.is_due:
                # Those that join go on by themselves: to follow them would only take time.
                yield course.step
                continue
            self._hear(this, joiners)
            if course.waits_beside(joiners, replacements):
                yield course.step
                continue
            course.begin_to_look()
            yield from self._attend(this, joiners, replacements)
            picture = self.look(self.apart(this))
            course.note(joiners, replacements, picture)
            if this.databases and not picture.primary and course.revivals < _REVIVALS:
                yield from self._revive(this, joiners, replacements, course)
                continue
            missing = self._missing(this, joiners, picture)
            returning = self._returning(this, picture, missing)
            if returning and time.monotonic() < this.until:
                yield Progress(course.step.percent, f"waiting for {', '.join(returning)}")
                time.sleep(min(0.5, self.patience / 10))
                continue
            if not this.strict:
                this.away.clear()
                this.away.update(returning)
            self._begin_with(this, joiners, picture, [n for n in missing if n not in returning])
            if not joiners.nodes and not replacements:
                return
            course.note(joiners, replacements, picture)

    def _hear(self, this: Round, joiners: Joiners) -> None:
        """Hear of those that join; who has not joined fails, unless it is tried again."""
        nodes = dict(joiners.nodes)
        for name, error in joiners.advance():
            if this.mends and self._is_lost(nodes[name]):
                joiners.expect(name)
            elif error is not None and not joiners.may_try_again(name):
                self._fail_of(this, joiners, name, error)

    def _revive(
        self, this: Round, joiners: Joiners, replacements: Replacements, course: _Course
    ) -> Job[None]:
        """Have somebody take queries again, whom the others can follow.

        Raises:
            ConPaaSError: It cannot be, or not for too long, and there is nobody to wait for.
        """
        # Who loses the others is primary until it has noticed.
        course.leaderless = course.leaderless or time.monotonic()
        joiners.disturb()
        try:
            yield from self._go_on(this)
        except ConPaaSError as error:
            waits = joiners.nodes or joiners.owed
            if replacements:
                course.leaderless = 0.0  # their data may be what is waited for
            elif not waits or time.monotonic() - course.leaderless > self.endurance:
                raise
            yield Progress(course.step.percent, str(error))
        else:
            course.revivals, course.leaderless = course.revivals + 1, 0.0

    def _returning(self, this: Round, picture: Picture, missing: list[str]) -> list[str]:
        """Return the names of those that may be members again by themselves, if it may wait."""
        if this.strict:
            return []
        return [name for name in missing if self._may_come_back(picture, name)]

    def _begin_with(
        self, this: Round, joiners: Joiners, picture: Picture, names: list[str]
    ) -> None:
        """Have databases join, as many as there are others that answer meanwhile."""
        room = max(1, len(picture.ready) - 1) - len(joiners.nodes)
        for name in names:
            # Who was a member just now lacks little, and nobody stands still for it.
            is_back = not joiners.is_owed(name) and picture.statuses[name].has_data
            if room > 0 or is_back:
                room -= 1
                self._begin(this, joiners, picture, name)

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

    def _attend(self, this: Round, joiners: Joiners, replacements: Replacements) -> Job[None]:
        """Answer that machines were lost since the round has begun; begin to replace them."""
        # Who shall be no member is given back by whom this is done for.
        known = (this.lost - replacements.due()) | {node.id for node in this.without}
        lost = [node for node in self.place.nodes.lost() if node.id not in known]
        if not lost:
            return
        this.lost |= {node.id for node in lost}
        # Also one whose job has failed by that, before it was known, and that is tried again.
        joining = {node.id: name for name, node in joiners.outside.items()}
        for node in lost:
            if name := joining.get(node.id):
                joiners.drop(name)
                told = f"{name} ({node.address}): its machine was lost while it joined"
                if not this.mends:
                    self._fail_of(this, joiners, name, AgentError(told))
            if node.role == MYSQL:
                joiners.expect(name_of(node))
        self._count_databases(this)
        joiners.disturb()
        softly = replace(this, strict=False)
        for node in lost:
            yield from self.attempt(softly, self.give_up_machine(node), 0, 100)
        yield from self.attempt(softly, self._go_on(this), 0, 100)
        yield from self.attempt(softly, self.balance(softly), 0, 100)
        replaceable = {node.id for node in self.replaceable()}
        for node in lost:
            if node.id in replaceable:
                replacements.add(node)

    def _go_on(self, this: Round) -> Job[None]:
        """Have survivors take queries, before anything that takes long."""
        apart = self.apart(this)
        if this.databases and not self.look(apart).primary:
            this.planned |= yield from self.have_primary(this.databases, apart)

    def _replace(self, this: Round, lost: Node) -> Job[None]:
        """Replace one node; until all is there that it needs, it counts for nothing."""
        (added,) = yield from scaled(self.exchange([lost]), 0, 80)
        if added.role == MYSQL:
            yield from scaled(self.bring_volume(this, added), 80, 90)
            self._count_databases(this, added)
        yield from scaled(self.configure(this), 90, 95)
        yield from scaled(self.balance(this), 95, 100)
        self.place.tell_removed([lost])
        self.place.tell_added([added])

    def _is_lost(self, node: Node) -> bool:
        return node.id in {lost.id for lost in self.place.nodes.lost()}

    def _count_databases(self, this: Round, *added: Node) -> None:
        """Note in a round which databases there are now."""
        known = {node.id for node in (*this.databases, *added)}
        this.databases[:] = [node for node in self.databases if node.id in known]
