"""How jobs get on: their steps and their reports."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from conpaas.errors import BusyError, ConPaaSError, UnreachableError

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One step of a job, for the person who waits; ``percent`` from 0 to 100.

    A job's percent never falls: one that is less than the last is told as that.
    """

    percent: int
    message: str


#: What an operation returns that runs in the background.
Job = Generator[Progress, None, T]


class JobState(enum.StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  #: another operation took precedence
    INTERRUPTED = "interrupted"  #: its server died and its steps could not be taken up again

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class JobStep:
    """What a job told on its way; ``time`` in seconds since 1970, UTC."""

    time: float
    percent: int
    message: str


#: How many steps of a job are kept: of more, the last one is replaced.
KEPT_STEPS = 100


@dataclass(frozen=True)
class JobReport:
    """A job, as those who wait for it see it; times are seconds since 1970, UTC.

    ``steps`` are in the report of one job, not in those of a list; so are the ``arguments`` of one
    that has ended without being done, so that it can be asked for again: no secrets, no files.
    """

    id: int
    target: str
    operation: str
    state: JobState
    percent: int
    message: str
    user: str = ""
    created: float = 0.0
    finished: float | None = None
    result: Any = None
    error: dict[str, Any] | None = None
    steps: tuple[JobStep, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def could_be_tried_again(self) -> bool:
        """Whether it has ended, and what was asked for has not been done."""
        return self.state.ended and self.state is not JobState.DONE


def first_step(job: Job[T]) -> tuple[Progress, Job[T]]:
    """Run a job to its first step; return that, and what is left of the job."""
    try:
        return next(job), job
    except StopIteration as stop:
        return Progress(100, ""), finished(stop.value)


def finished(value: T) -> Job[T]:
    """Return a job that has nothing left to do."""
    yield from ()
    return value


def finish(job: Job[T], see: Callable[[Progress], None] = lambda step: None) -> T:
    """Run a job to its end here, showing ``see`` each step, and return its result."""
    while True:
        try:
            see(next(job))
        except StopIteration as stop:
            return cast("T", stop.value)


def scaled(job: Job[T], low: int, high: int) -> Job[T]:
    """Run a job as a part of another: its 0 to 100 % become ``low`` to ``high`` %."""
    while True:
        try:
            step = next(job)
        except StopIteration as stop:
            return cast("T", stop.value)
        yield Progress(low + (high - low) * step.percent // 100, step.message)


def share_of(place: int, count: int, whole: int = 100) -> tuple[int, int]:
    """Return which percents of ``whole`` belong to one of several steps: for :func:`scaled`."""
    return whole * place // count, whole * (place + 1) // count


def in_turn(jobs: Sequence[Job[T]]) -> Job[list[T]]:
    """Run jobs at the same time, a step of each after the other; return their results in order.

    When some fail, the others are run to their end all the same, and then the first error is
    raised.
    """
    running, percents = dict(enumerate(jobs)), [0] * len(jobs)
    results: dict[int, T] = {}
    errors: list[ConPaaSError] = []
    while running:
        for place, job in list(running.items()):
            try:
                step = next(job)
            except StopIteration as stop:
                results[place], percents[place] = stop.value, 100
                del running[place]
            except ConPaaSError as error:
                errors.append(error)
                del running[place]
            else:
                percents[place] = step.percent
                yield Progress(sum(percents) // len(percents), step.message)
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(jobs))]


def patiently(
    begin: Callable[[], Job[T]], sleep: Callable[[float], None] = time.sleep, away: float = 0.0
) -> Job[T]:
    """Run a job as soon as nothing else is at work on what it changes.

    For jobs that may be asked for twice: after a crash the one before may still be at work.

    Args:
        begin: Asks for it.
        sleep: Waits for seconds.
        away: Seconds for which who is asked may not answer: it may be coming back.
    """
    until = time.monotonic() + away
    while True:
        try:
            return (yield from begin())
        except (BusyError, UnreachableError) as error:
            if isinstance(error, UnreachableError) and time.monotonic() > until:
                raise
            yield Progress(0, str(error))
            sleep(0.2)
