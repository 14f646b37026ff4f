"""Lost nodes of a cluster on their way to be replaced, each with a job of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from conpaas.errors import ConPaaSError
from conpaas.manager.nodes import Node
from conpaas.rpc import Job

#: Seconds until one is tried again that could not be replaced.
_PAUSE = 30.0


class Replacements:
    """Those that are being replaced, and those that could not be.

    Args:
        begin: Begins to replace a node.
        clock: Seconds, rising.
    """

    def __init__(
        self, begin: Callable[[Node], Job[None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._begin = begin
        self._clock = clock
        self._jobs: dict[str, Job[None]] = {}
        self._again: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether some are being replaced."""
        return bool(self._jobs)

    def add(self, node: Node) -> None:
        """Have a node replaced."""
        self._jobs[node.id], self._told[node.id] = self._begin(node), ""
        self._again.pop(node.id, None)

    def advance(self) -> list[ConPaaSError]:
        """Do a step of each; return why some could not be replaced: these are due again later."""
        failed: list[ConPaaSError] = []
        for name, job in list(self._jobs.items()):
            try:
                self._told[name] = next(job).message
                continue
            except StopIteration:
                pass
            except ConPaaSError as error:
                self._again[name] = self._clock() + _PAUSE
                failed.append(error)
            del self._jobs[name], self._told[name]
        return failed

    def due(self) -> set[str]:
        """Return the ids of those that could not be replaced, and may be tried again."""
        return {name for name, at in self._again.items() if self._clock() >= at}

    def words(self) -> list[str]:
        """Return how far they are, in sentences."""
        return [told for told in self._told.values() if told]

    def close(self) -> None:
        """Follow nobody any more; the machines that were asked for come all the same."""
        for job in self._jobs.values():
            job.close()
