"""How lost nodes of a service are replaced, by whichever job is at work when they are."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.errors import AgentError, ConPaaSError, InvalidError, StartupScriptError
from conpaas.manager.handlers import Handled, handled
from conpaas.manager.machines import MACHINES, READY
from conpaas.manager.nodes import Node
from conpaas.manager.stopping import StoppingManager
from conpaas.rpc import Job, Progress, in_turn, scaled

A = TypeVar("A", bound=ServiceAgent)
T = TypeVar("T")

#: How often nodes are replaced that are lost while a service comes up.
_REPLACEMENTS = 3
#: Seconds between two looks at a job while nodes are replaced beside it.
_GLANCE = 0.5


class _Watched(Generic[T]):
    """A job that goes on beside another, and what has come of it."""

    def __init__(self, job: Job[T]) -> None:
        self._job = job
        self._results: list[T] = []
        self._error: ConPaaSError | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return bool(self._results) or self._error is not None

    def step(self) -> Iterator[Progress]:
        """Do a step; an error is kept, and told."""
        try:
            yield next(self._job)
        except StopIteration as stop:
            self._results.append(stop.value)
        except ConPaaSError as error:
            self._error = error
            yield Progress(0, f"it has failed: {error}")

    def result(self) -> T:
        """Return its result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._results[0]


class ReplacingManager(StoppingManager[A], abc.ABC):
    """Puts new nodes in the place of lost ones.

    Given to you:
        ``exchange(lost)``, ``replaceable()``, ``steadily(begin)``, ``attended(job)``,
        ``bring_up()``.
    """

    # -- may override -------------------------------------------------------------------------

    def on_start(self, nodes: list[Node]) -> Handled:
        """Make nodes serve."""
        raise NotImplementedError

    def on_nodes_added(self, nodes: list[Node]) -> Handled:
        """Take new nodes in; the default makes them serve as the first ones."""
        return self.on_start(nodes)

    def on_nodes_removed(self, nodes: list[Node]) -> Handled:
        """Tell the remaining nodes that others are gone."""
        return None

    def on_node_lost(self, node: Node) -> Handled:
        """React to a node that does not answer any more; called inside a job."""
        return None

    def footing(self) -> object | None:
        """Return what stays the same as long as nothing befalls the nodes; None if they ail."""
        return [node.id for node in self.nodes]

    def is_in_pieces(self) -> bool:
        """Whether what the service keeps was being replaced, and is neither old nor new."""
        return False

    def make_whole(self) -> Job[None]:
        """Have what the service keeps be whole again, when its nodes serve."""
        yield from ()

    # -- given to you -------------------------------------------------------------------------

    def exchange(self, lost: Sequence[Node]) -> Job[list[Node]]:
        """Put new nodes in the place of lost ones, which are forgotten; no handler is called.

        For jobs that take long: while one is at work, nobody else replaces what is lost.  It may
        be repeated, with other nodes too.

        Raises:
            ConPaaSError: One cannot be replaced; the others are all the same.
        """
        return (yield from in_turn([self._exchange(node) for node in lost]))

    def replaceable(self) -> list[Node]:
        """Return the lost nodes whose role says that they are replaced."""
        roles = {role.name for role in self.service.roles if role.replace_lost}
        return [node for node in self.place.nodes.lost() if node.role in roles]

    def steadily(self, begin: Callable[[], Job[T]]) -> Job[T]:
        """Do what takes long; what befalls nodes meanwhile is answered.

        Nobody else does that while a job is at work.

        Args:
            begin: Begins it; it is begun anew if it failed when something had befallen nodes.

        Raises:
            ConPaaSError: It failed although nothing had, or again and again.
        """
        for left in reversed(range(_REPLACEMENTS + 1)):
            # Of what befell them before a crash nothing is known.
            is_first = left == _REPLACEMENTS
            before = None if is_first and self.place.resuming else self.footing()
            try:
                return (yield from self.attended(begin()))
            except (InvalidError, StartupScriptError):
                raise
            except ConPaaSError as error:
                yield Progress(0, f"looking what has happened, because: {error}")
                yield from scaled(self.place.machines.find_lost(), 0, 0)
                if not left or (before is not None and self.footing() == before):
                    raise
                yield Progress(0, f"it is begun anew, because: {error}")
            if lost := self.replaceable():
                yield from scaled(self._mend(lost), 0, 0)
            yield from scaled(self.bring_up(), 0, 0)
        raise AssertionError("the last try returns or raises")

    def attended(self, job: Job[T]) -> Job[T]:
        """Run a job, and replace nodes that are lost meanwhile; it is watched all the while.

        When it has ended, whoever is being replaced is first.  The lost ones whose replacement
        has not begun by then are left to who comes next.
        """
        seen: set[str] = set()
        watched, mending, look_at = _Watched(job), None, 0.0
        try:
            while mending is not None or not watched.is_over:
                # First this: a job that needs a lost node has ended when the next step is done.
                lost = [node for node in self.replaceable() if node.id not in seen]
                # A look may take a while: who replaces nodes shall not wait for it at each step.
                if not watched.is_over and (mending is None or time.monotonic() >= look_at):
                    yield from watched.step()
                    look_at = time.monotonic() + _GLANCE
                if mending is None and lost and not watched.is_over:
                    seen |= {node.id for node in lost}
                    mending = scaled(self._mend(lost), 0, 0)
                if mending is not None:
                    try:
                        yield next(mending)
                    except StopIteration:
                        mending = None
                    except ConPaaSError as error:
                        # Whoever comes next tries again; the job itself may come through.
                        self.log.warning("going on, although: %s", error)
                        mending = None
            return watched.result()
        finally:
            if mending is not None:
                mending.close()
            job.close()

    def bring_up(self) -> Job[None]:
        """Replace what is lost and have all nodes serve, as after a crash in the middle of that.

        Raises:
            ConPaaSError: It does not come to that.
        """
        yield from self._bring_up(lambda: self.on_start(self.nodes))

    # -- core's own ---------------------------------------------------------------------------

    def _mend(self, lost: Sequence[Node]) -> Job[None]:
        """Have the others go on without lost nodes, and replace these."""
        for node in lost:
            yield from handled(self.on_node_lost(node), 0, 10)
        added = yield from scaled(self.exchange(lost), 10, 70)
        yield from handled(self.on_nodes_removed(list(lost)), 70, 80)
        yield from handled(self.on_nodes_added(added), 80, 98)
        self.place.tell_removed(list(lost))
        self.place.tell_added(added)

    def _bring_up(self, serve: Callable[[], Handled]) -> Job[None]:
        """Bring all nodes what is theirs, and have them serve; those lost meanwhile are replaced.

        Nobody else does that while a service is not RUNNING.
        """
        for left in reversed(range(_REPLACEMENTS + 1)):
            try:
                yield from scaled(self._replace_lost(), 0, 10)
                yield from scaled(self.initialise(self.nodes), 10, 25)
                yield from scaled(self.equip(self.nodes), 25, 40)
                yield Progress(40, "configuring the service")
                yield from handled(serve(), 40, 100)
            except StartupScriptError:
                raise  # it would fail on every machine
            except ConPaaSError as error:
                yield Progress(40, f"looking whether a node is lost, because: {error}")
                yield from scaled(self.place.machines.find_lost(), 40, 40)
                if not left or not self.replaceable():
                    raise
            else:
                return

    def _replace_lost(self) -> Job[None]:
        """Replace what is lost."""
        yield from self._pass_on()
        if not (lost := self.replaceable()):
            return
        for node in lost:
            self.place.note(f"{node.id} ({node.address}) is lost: it is replaced")
        added = yield from self.exchange(lost)
        self.place.tell_removed(lost)
        self.place.tell_added(added)

    def _pass_on(self) -> Job[None]:
        """Give the places of lost nodes to those that came instead, and were lost before that.

        They are the ones to be replaced then, and nobody is replaced twice.
        """
        lost = self.place.nodes.lost()
        for node in lost:
            got = self.place.recall(f"{READY} {MACHINES} {node.id}") or []
            heirs = [one for one in lost if one.id in got]
            if heirs:
                self.place.nodes.succeed([node], heirs)
                yield from scaled(self.place.machines.release([node]), 0, 0)

    def _exchange(self, node: Node) -> Job[Node]:
        # A try before may have come so far, and have failed then.
        place = node.role, node.position
        heirs = [one for one in self.nodes if (one.role, one.position) == place]
        if not heirs:
            yield Progress(0, f"asking for a machine instead of {node.id}")
            kept = self._kept_addresses([node.role], [node])
            heirs = yield from scaled(
                self.place.machines.provide([node.role], None, kept, [node]), 0, 70
            )
        there = {one.id for one in self.nodes}
        heirs = [one for one in heirs if one.id in there]
        if not heirs:
            raise AgentError(f"the machine that came instead of that of {node.id} is lost too")
        yield from scaled(self.initialise(heirs), 70, 80)
        # First this: who has the lost one's position is known after a crash.
        heirs = self.place.nodes.succeed([node], heirs)
        yield from scaled(self.place.machines.release([node]), 80, 85)
        yield from scaled(self.equip(heirs), 85, 100)
        return heirs[0]

    def _kept_addresses(self, roles: Sequence[str], gone: Sequence[Node]) -> list[Node | None]:
        """Return for each role the node whose address its new node shall have, if any."""
        keeping = {role.name for role in self.service.roles if role.keep_address}
        left = [node for node in gone if node.role in keeping]
        found: list[Node | None] = []
        for role in roles:
            heir = next((node for node in left if node.role == role), None)
            if heir is not None:
                left.remove(heir)
            found.append(heir)
        return found if any(found) else []

    # -- what features add to: they call super() ----------------------------------------------

    def get_ready(self, nodes: Sequence[Node]) -> Job[None]:
        """Begin with what nodes need while the agents of their machines are on their way.

        Those that replace lost ones do not get it.  It saves time and must not be relied on:
        ``equip`` does what is not done here, or failed.  A node may not come in spite of it.
        """
        yield from ()

    def equip(self, nodes: Sequence[Node]) -> Job[None]:
        """Bring nodes what is theirs, before their handlers are called; may be repeated."""
        yield from ()
