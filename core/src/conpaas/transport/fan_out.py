"""Many calls at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from conpaas.errors import ConPaaSError

T = TypeVar("T")


def fan_out(calls: Sequence[Callable[[], T]], limit: int = 64) -> list[T | ConPaaSError]:
    """Make all calls, up to ``limit`` at a time, and return their results in order.

    A call's :class:`ConPaaSError` is its result; anything else that it raises is a bug and is
    raised here, after all calls have ended.
    """

    def attempt(call: Callable[[], T]) -> T | ConPaaSError:
        try:
            return call()
        except ConPaaSError as error:
            return error

    if len(calls) < 2:
        return [attempt(call) for call in calls]
    from concurrent.futures import ThreadPoolExecutor  # 10 ms that a joining machine saves

    # A pool of its own: calls that fan out themselves could fill a shared one and wait for ever.
    with ThreadPoolExecutor(min(limit, len(calls)), "fan-out") as pool:
        return list(pool.map(attempt, calls))
