"""What blocks, on a thread beside its job: the job goes on telling how far it is."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from conpaas.rpc import Job, Progress

T = TypeVar("T")
EVERY = 0.2  #: seconds between two looks; each is a place where the job can be cancelled
#: Seconds that a job which is cancelled waits for its thread.
PATIENCE = 10.0


def beside(work: Callable[[threading.Event], T], told: Callable[[], Progress]) -> Job[T]:
    """Run what blocks, and return its result or raise its error.

    Args:
        work: Is given an event: once it is set, nobody waits for the result any more, and what
            was begun must come to nothing.
        told: What to tell meanwhile.
    """
    given_up = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(given_up))
        except BaseException as error:
            errors.append(error)

    # It belongs to the job: what it remembers there must be found again.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="beside-a-job", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield told()
            thread.join(EVERY)
    finally:
        given_up.set()
        thread.join(PATIENCE)
    if errors:
        raise errors[0]
    return results[0]
