"""Databases on their way into a cluster, each with a job on its node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from conpaas.errors import ConPaaSError
from conpaas.manager.nodes import Node
from conpaas.rpc import Job
from conpaas_mysql.faults import Picture

#: Seconds until one that fell out meanwhile, and did not come back in, is tried again.
_PAUSE = 30.0
_MINUTE = 60.0


class Joiners:
    """Those that are at work, and those that were.

    Args:
        begin: Begins the job on a node.
        clock: Seconds, rising.
    """

    def __init__(
        self, begin: Callable[[Node], Job[None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        #: Nodes of those that are at work, by the database's name.
        self.nodes: dict[str, Node] = {}
        #: Nodes of those that have tried and have not come in, those at work among them.
        self.outside: dict[str, Node] = {}
        #: Names of those that were to come in when it began: for these it is done.
        self.owed: set[str] | None = None
        self._begin = begin
        self._clock = clock
        self._jobs: dict[str, Job[None]] = {}
        self._told: dict[str, str] = {}
        self._begun: dict[str, float] = {}
        self._again: dict[str, float] = {}
        self._disturbed: set[str] = set()

    def add(self, name: str, node: Node) -> None:
        """Have a database join."""
        self.nodes[name], self._jobs[name] = node, self._begin(node)
        self.outside[name] = node
        self._told[name], self._begun[name] = "", self._clock()

    def drop(self, name: str) -> None:
        """Follow the job of a database no more, if it is at work."""
        if name in self.nodes:
            self._jobs.pop(name).close()
            del self.nodes[name]
        self.leave_alone(name)

    def disturb(self) -> None:
        """Note that those at work were without others to follow: they may try once more."""
        self._disturbed |= self.nodes.keys()

    def may_try_again(self, name: str) -> bool:
        """Whether one that has not joined was disturbed; then it is tried again."""
        if name not in self._disturbed:
            return False
        self._disturbed.discard(name)
        self._again.pop(name, None)
        return True

    def leave_alone(self, name: str) -> None:
        """Do not try a database again before long."""
        # Whom it is done for is told of a failure, or tries again by himself.
        self._again[name] = math.inf if self.is_owed(name) else self._clock() + _PAUSE

    def expect(self, name: str) -> None:
        """Have a database tried again as soon as it can be: its machine is replaced."""
        self._again.pop(name, None)

    def close(self) -> None:
        """Follow nobody any more; the nodes go on."""
        for name in list(self.nodes):
            self.drop(name)

    def is_owed(self, name: str) -> bool:
        """Whether it was to come in when this began, and has not fallen out since."""
        return self.owed is None or name in self.owed

    def may_try(self, name: str) -> bool:
        """Whether a database may be had join now."""
        return name not in self.nodes and self._clock() >= self._again.get(name, 0.0)

    def advance(self) -> list[tuple[str, ConPaaSError | None]]:
        """Hear of each; return those that have ended, with why if they have not joined.

        It takes a while where nothing is new.
        """
        ended: list[tuple[str, ConPaaSError | None]] = []
        for name, job in list(self._jobs.items()):
            try:
                self._told[name] = next(job).message
            except StopIteration:
                ended.append((name, None))
                del self.outside[name]
            except ConPaaSError as error:
                ended.append((name, error))
        for name, _ in ended:
            self.drop(name)
        return ended

    def words(self, picture: Picture) -> str:
        """Return how far they are, in a sentence."""
        return "; ".join(self._words_of(name, picture) for name in self.nodes)

    def share(self, picture: Picture) -> int:
        """Return how much of the data they have got, in percent of all there is."""
        whole = _whole(picture) * len(self.nodes)
        statuses = [picture.statuses[name] for name in self.nodes if name in picture.statuses]
        return min(99, 100 * sum(s.used for s in statuses) // whole) if whole else 0

    def _words_of(self, name: str, picture: Picture) -> str:
        status, whole = picture.statuses.get(name), _whole(picture)
        told = self._told[name] or "joining"
        if status is None:
            told = "it does not answer"
        elif not status.is_running:
            told = "it is started again"
        elif whole and not status.has_data:
            told = f"it has {min(status.used, whole) >> 20} of {whole >> 20} MB"
        minutes = int((self._clock() - self._begun[name]) / _MINUTE)
        since = f", for {minutes} min" if minutes else ""
        return f"{picture.label(name)}: {told}{since}"


def _whole(picture: Picture) -> int:
    """Return how many bytes a whole copy has, as far as that is known."""
    return max((picture.statuses[name].used for name in picture.primary), default=0)
