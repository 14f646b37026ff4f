"""The director's background work: recorded in its database, carried out by any of its workers.

A request makes the job, runs its checks (what stands before the first ``yield``) and records it;
a worker makes it again from the record and runs it.  A job whose worker died is taken up again by
another: so every step must be idempotent.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import peewee

from conpaas.director.models import Job, database
from conpaas.director.prepared import Prepared
from conpaas.director.users import Caller
from conpaas.errors import BusyError, ConPaaSError, NotFoundError
from conpaas.rpc import (
    KEPT_STEPS,
    JobReport,
    JobState,
    JobStep,
    Operation,
    Progress,
    arguments_from_json,
    tellable,
)
from conpaas.schema import to_json

CANCEL_PATIENCE = 30.0  #: seconds that a preempting operation waits for the one it cancels
LEASE = 30.0  #: seconds after which a worker without a heartbeat counts as dead
BEAT = 2.0  #: seconds between heartbeats
logger = logging.getLogger(__name__)
_JOB = Prepared(lambda number: Job.select().where(Job.id == number))
_ACTIVE = Prepared(lambda target: Job.select().where(Job.active == target))


@dataclass(frozen=True)
class Scope:
    """What a job changes: only one job of a target runs at a time.

    ``same`` is true when a second request for the target means the job that is there already.
    """

    target: str
    application: int | None = None
    same: bool = False


class Subject(Protocol):
    """An object of the API, made for one caller."""

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return what a job of this operation changes."""

    def permit(self, operation: Operation, scope: Scope) -> None:
        """Raise when the present state does not allow the operation."""

    def begin(self, operation: Operation, scope: Scope) -> str | None:
        """Enter the state that the operation declares; return the one before."""

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Enter the state that follows from how the job ended."""


class Queue(Protocol):
    """Hands recorded jobs to workers."""

    def put(self, number: int, for_manager: bool = False) -> None:
        """Have some worker run the job of that number soon.

        Args:
            number: Of the job.
            for_manager: A manager asks for it: other jobs, which hold a worker, may wait for it.
        """


class DirectorJobs:
    """Records jobs, runs them and reports on them.

    Args:
        queue: Hands them to workers.
        subject: Makes the object of a name for a caller.
        declared: Returns an object's operation by name.
        worker: Name of this process, unique among all.
        ended: Called with a job's number, state and error, in the transaction that ends it.
    """

    def __init__(
        self,
        queue: Queue,
        subject: Callable[[str, Caller], Any],
        declared: Callable[[str, str], Operation],
        worker: str = "",
        ended: Callable[[int, JobState, ConPaaSError | None], None] = lambda *job: None,
    ) -> None:
        self._queue = queue
        self._ended = ended
        self._subject = subject
        self._declared = declared
        self.worker = worker or secrets.token_hex(6)

    # -- in a request -------------------------------------------------------------------------

    def submit(
        self,
        object_name: str,
        operation: Operation,
        arguments: dict[str, Any],
        caller: Caller,
        recorded: Callable[[int], None] = lambda number: None,
    ) -> int:
        """Check a job, record it, hand it to a worker and return its number.

        Args:
            object_name: Whose operation it is.
            operation: The declaration.
            arguments: Of the call.
            caller: Who is calling.
            recorded: Called with the number in the transaction that records the job.

        Raises:
            BusyError: Another job is changing the same thing.
        """
        subject = self._subject(object_name, caller)
        scope = subject.scope(operation, arguments)
        if (present := self.active(scope.target)) is not None:
            if scope.same:
                return int(present.id)
            self._make_way(present, operation)
        subject.permit(operation, scope)
        made = getattr(subject, operation.name)(**arguments)
        try:
            first = next(made, None)
        finally:
            made.close()
        try:
            with database.atomic():
                # Again: the state may have changed while the checks were made.
                subject.permit(operation, scope)
                record = Job.create(
                    object=object_name,
                    operation=operation.name,
                    arguments=json.dumps({k: to_json(v) for k, v in arguments.items()}),
                    caller=json.dumps(asdict(caller)),
                    user=caller.user,
                    username=caller.username,
                    application=scope.application,
                    target=scope.target,
                    active=scope.target,
                    state=JobState.QUEUED.value,
                    before=subject.begin(operation, scope),
                    message=first.message if first else "",
                    steps=_with_step("[]", first) if first else "[]",
                )
                recorded(int(record.id))
        except peewee.IntegrityError:
            present = self.active(scope.target)
            if scope.same and present is not None:
                return int(present.id)
            raise BusyError(f"another job has just begun on {scope.target}: wait for it") from None
        self._queue.put(record.id, caller.is_manager)
        return int(record.id)

    def _make_way(self, present: Job, operation: Operation) -> None:
        busy = BusyError(
            f"{present.operation} (job {present.id}) is still at work on {present.target}: "
            "wait for it",
            detail={"job": present.id},
        )
        if not operation.preempts or operation.name == present.operation:
            raise busy
        Job.update(cancel=True).where(Job.id == present.id).execute()
        until = time.monotonic() + CANCEL_PATIENCE
        while self.active(present.target) is not None:
            if time.monotonic() > until:
                raise busy
            time.sleep(0.05)

    def active(self, target: str) -> Job | None:
        """Return the job that is changing something, None when there is none."""
        return _ACTIVE.first(Job, target)

    def report(self, number: int, caller: Caller) -> JobReport:
        """Return a job's present report.

        Raises:
            NotFoundError: There is none of that number that the caller may see.
        """
        job = _JOB.first(Job, number)
        if job is None or not _may_see(job, caller):
            raise NotFoundError(f"there is no job {number}")
        steps = tuple(JobStep(*step) for step in json.loads(job.steps))
        report = replace(_report(job), steps=steps)
        if report.could_be_tried_again:
            with suppress(NotFoundError):  # an operation may not be there any more
                declared = self._declared(job.object, job.operation)
                return replace(report, arguments=tellable(declared, job.arguments))
        return report

    def latest(self, caller: Caller, count: int = 50) -> tuple[JobReport, ...]:
        """Return the latest jobs that a caller may see, newest first."""
        found = Job.select().order_by(Job.id.desc()).limit(count)
        if not caller.admin:
            found = found.where(Job.user == caller.user)
        return tuple(_report(job) for job in found)

    # -- in a worker --------------------------------------------------------------------------

    def run(self, number: int) -> None:
        """Run a recorded job to its end; one that another worker runs is left alone."""
        # A name for this run: of two runs in one process, only the later one is the job's.
        claim = f"{self.worker}/{secrets.token_hex(4)}"
        claimed = (
            Job.update(state=JobState.RUNNING.value, worker=claim, heartbeat=time.time())
            .where(
                Job.id == number,
                Job.active.is_null(False),
                (Job.state == JobState.QUEUED.value) | (Job.heartbeat < time.time() - LEASE),
            )
            .execute()
        )
        if claimed:
            self._carry_out(Job.get_by_id(number))

    def take_up(self, own: bool = False) -> None:
        """Hand out again the jobs whose worker died, or whose hand-out got lost.

        Args:
            own: This worker has just started: what it ran before is dead too.
        """
        old = time.time() - LEASE
        dead = (Job.state == JobState.RUNNING.value) & (Job.heartbeat < old)
        lost = (Job.state == JobState.QUEUED.value) & (Job.created < old)
        if own:
            Job.update(heartbeat=0).where(
                Job.state == JobState.RUNNING.value, Job.worker.startswith(f"{self.worker}/")
            ).execute()
            lost = Job.state == JobState.QUEUED.value
        waiting = Job.select(Job.id, Job.caller).where(Job.active.is_null(False), dead | lost)
        for job in waiting:
            logger.warning("job %d is taken up again", job.id)
            self._queue.put(job.id, _caller(job).is_manager)

    def _carry_out(self, job: Job) -> None:
        operation = self._declared(job.object, job.operation)
        subject = self._subject(job.object, _caller(job))
        arguments = json.loads(job.arguments)
        scope = Scope(job.target, job.application)
        try:
            with _heart(job):
                state, result, error = self._steps(job, operation, subject, arguments)
        except _Taken:
            logger.warning("job %d has been taken over by another worker", job.id)
            return
        with database.atomic():
            still_ours = (
                Job.update(
                    state=state.value,
                    active=None,
                    finished=time.time(),
                    percent=100 if state is JobState.DONE else job.percent,
                    message=str(error) if error else job.message,
                    result=json.dumps(to_json(result)),
                    error=json.dumps(error.to_json()) if error else None,
                )
                .where(Job.id == job.id, Job.worker == job.worker)
                .execute()
            )
            if still_ours:
                self._ended(job.id, state, error)
                subject.end(operation, scope, job.before, state, str(error or ""))

    def _steps(
        self, job: Job, operation: Operation, subject: Any, given: dict[str, Any]
    ) -> tuple[JobState, Any, ConPaaSError | None]:
        try:
            made = getattr(subject, operation.name)(**arguments_from_json(operation, given))
        except ConPaaSError as error:
            return JobState.FAILED, None, error
        try:
            while True:
                step = next(made)
                self._note(job, step)
        except StopIteration as stop:
            return JobState.DONE, stop.value, None
        except _Cancelled:
            made.close()
            return JobState.CANCELLED, None, BusyError("it was cancelled")
        except ConPaaSError as error:
            logger.warning("job %d (%s) failed: %s", job.id, operation.name, error)
            return JobState.FAILED, None, error
        except _Taken:
            raise
        except Exception as error:
            logger.exception("job %d (%s) broke", job.id, operation.name)
            known = ConPaaSError(f"internal error: {type(error).__name__}: {error}")
            return JobState.FAILED, None, known

    def _note(self, job: Job, step: Progress) -> None:
        # What has to be done again takes nobody back.
        step = Progress(max(step.percent, job.percent), step.message)
        if (step.percent, step.message) != (job.percent, job.message):
            if step.message != job.message:
                job.steps = _with_step(job.steps, step)
            job.percent, job.message = step.percent, step.message
            Job.update(percent=job.percent, message=job.message, steps=job.steps).where(
                Job.id == job.id
            ).execute()
        worker, cancel = (
            Job.select(Job.worker, Job.cancel).where(Job.id == job.id).tuples().first()
        )
        if worker != job.worker:
            raise _Taken
        if cancel:
            raise _Cancelled


@contextmanager
def _heart(job: Job) -> Iterator[None]:
    """Renew the lease on a job while it runs, however long one of its steps takes."""
    still = threading.Event()

    def beat() -> None:
        while not still.wait(BEAT):
            try:
                with database.connection_context():
                    Job.update(heartbeat=time.time()).where(
                        Job.id == job.id, Job.worker == job.worker
                    ).execute()
            except peewee.PeeweeException as error:
                logger.warning("the lease on job %d cannot be renewed yet: %s", job.id, error)

    thread = threading.Thread(target=beat, name=f"heart-{job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        still.set()
        thread.join()


class _Cancelled(Exception):  # noqa: N818 - a signal of this file
    pass


class _Taken(Exception):  # noqa: N818 - a signal of this file
    pass


def _caller(job: Job) -> Caller:
    return Caller(**json.loads(job.caller))


def _with_step(steps: str, step: Progress) -> str:
    """Return the steps with one more; of many, the last gives way to it."""
    known = json.loads(steps)[: KEPT_STEPS - 1]
    return json.dumps([*known, [time.time(), step.percent, step.message]])


def _may_see(job: Job, caller: Caller) -> bool:
    if caller.is_manager:
        return bool(job.application == caller.application)
    return caller.admin or bool(job.user == caller.user)


def _report(job: Job) -> JobReport:
    return JobReport(
        id=job.id,
        target=job.target,
        operation=job.operation,
        state=JobState(job.state),
        percent=job.percent,
        message=job.message,
        user=job.username,
        created=job.created,
        finished=job.finished,
        result=json.loads(job.result) if job.result else None,
        error=json.loads(job.error) if job.error else None,
    )
