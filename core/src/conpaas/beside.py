"""What blocks, on a thread beside its job: the job goes on telling how far it is."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar, cast

from conpaas.errors import ConPaaSError
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


def job_beside(job: Job[T], told: str) -> Job[T]:
    """Run a job of which a step may block: it can be given up meanwhile.

    Args:
        job: Is closed when nobody waits for it any more, as soon as its present step is over.
        told: What to tell until its first step.
    """
    steps: queue.SimpleQueue[Progress] = queue.SimpleQueue()

    def work(given_up: threading.Event) -> T:
        try:
            while not given_up.is_set():
                steps.put(next(job))
        except StopIteration as stop:
            return cast("T", stop.value)
        job.close()
        raise ConPaaSError("nobody waits for it any more")

    latest = Progress(0, told)
    following = beside(work, lambda: latest)
    with closing(following):
        while True:
            try:
                next(following)
            except StopIteration as stop:
                while not steps.empty():
                    yield steps.get()
                return cast("T", stop.value)
            while not steps.empty():
                latest = steps.get()
                yield latest
            yield latest
