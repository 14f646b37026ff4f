"""Tells the watch that services may have something to do, before its next round."""

from __future__ import annotations

import threading
from collections.abc import Callable


class News:
    """What is new for services that are outdated by it.

    Args:
        changed: Called when there is news.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._woken = threading.Event()
        self.edition = 0  #: rises with each change of what services publish

    def spread(self) -> None:
        """Note that what services publish has changed, and have the others look at it at once."""
        self.edition += 1
        self._changed()
        self.wake()

    def wake(self) -> None:
        """Have services asked at once whether they are outdated."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait until somebody wakes us, at most so long; return whether somebody did."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken
