"""Many calls at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from conpaas.errors import ConPaaSError

T = TypeVar("T")


def fan_out(calls: Sequence[Callable[[], T]], limit: int = 64) -> list[T | ConPaaSError]:
    """Make all calls, up to ``limit`` at a time, and return their results in order.

    A call's :class:`ConPaaSError` is its result; anything else that it raises is a bug and is
    raised here, after all calls have ended.
    """
    results: list[Any] = [None] * len(calls)
    bugs: list[BaseException] = []
    waiting = iter(range(len(calls)))  # each number comes out once, whoever asks

    def work() -> None:
        for number in waiting:
            try:
                results[number] = calls[number]()
            except ConPaaSError as error:
                results[number] = error
            except BaseException as error:
                bugs.append(error)

    # Plain threads, and the caller is one: a pool costs as much again as a call.  Its own ones,
    # because calls that fan out themselves could fill a shared pool and wait for ever.
    others = min(limit, len(calls)) - 1
    threads = [threading.Thread(target=work, name="fan-out", daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if bugs:
        raise bugs[0]
    return results
