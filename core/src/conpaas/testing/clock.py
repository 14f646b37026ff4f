"""A clock that tests put forward."""

from __future__ import annotations

import time


class Clock:
    """The time, and as much as it has been put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time, in seconds since 1970."""
        return time.time() + self.ahead

    def advance(self, hours: float = 0.0, seconds: float = 0.0) -> None:
        """Put it forward."""
        self.ahead += hours * 3600.0 + seconds
