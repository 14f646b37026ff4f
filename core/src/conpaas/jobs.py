"""Background work of a manager or an agent: outlives the request, survives the process."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from conpaas.errors import BusyError, ConPaaSError, NotFoundError
from conpaas.job_memos import JobMemos
from conpaas.job_records import recordable, report_of
from conpaas.progress import first_step
from conpaas.records import Records
from conpaas.rpc import (
    KEPT_STEPS,
    Job,
    JobReport,
    JobState,
    JobStep,
    Operation,
    Progress,
    Upload,
    arguments_from_json,
    tellable,
)
from conpaas.schema import to_json
from conpaas.state import State
from conpaas.target import Target

T = TypeVar("T")
KEPT = 200  #: how many ended jobs are remembered
CANCEL_PATIENCE = 30.0  #: seconds that a preempting operation waits for the one it cancels
logger = logging.getLogger(__name__)


@dataclass
class _Running:
    number: int
    target: Target
    operation: Operation
    before: str | None
    resuming: bool = False
    files: list[Upload] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    why_cancelled: str = "it was cancelled"
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def names(self) -> tuple[int, str]:
        """The number and the operation, as the log tells them."""
        return self.number, self.operation.name

    def busy(self, what: str) -> BusyError:
        """Return the error that tells of this job."""
        if not self.number:  # its checks are under way
            return BusyError(f"{self.operation.name} on {self.target.name} {what}")
        told = f"{self.operation.name} (job {self.number}) on {self.target.name} {what}"
        return BusyError(told, detail={"job": self.number})


_present: contextvars.ContextVar[_Running | None] = contextvars.ContextVar("job", default=None)


class JobRunner(JobMemos):
    """Runs jobs on threads of this process and keeps their record.

    Args:
        records: Where the ``job`` table is.
        clock: Seconds since 1970.
        changed: Called at each end of a job, before anybody hears of it.
    """

    def __init__(
        self,
        records: Records,
        clock: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(records)
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._find: Callable[[str], Target | None] = lambda name: None

    def submit(
        self, target: Target, operation: Operation, arguments: dict[str, Any], user: str = ""
    ) -> int:
        """Run a job to its first step here, so that its checks answer the caller; then go on.

        Args:
            target: What the job changes.
            operation: Which it is.
            arguments: Checked; a file among them is closed when the job has ended, or is refused.
            user: Who asked, for the record.

        Returns:
            The job's number.

        Raises:
            BusyError: Another job is changing the target.
            WrongStateError: The target's state does not allow it.
        """
        files = [value for value in arguments.values() if isinstance(value, Upload)]
        try:
            reservation = self._reserved(target, operation)
        except BusyError:
            _close_all(files)
            raise
        with reservation as running:
            running.files = files
            target.permit(operation)
            first, job = first_step(target.make(operation, arguments))
            with self._records.transaction():
                running.before = target.begin(operation)
                running.number = self._records.insert(
                    "INSERT INTO job (target, operation, arguments, user, state, before, "
                    "percent, message, created, steps) "
                    "VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)",
                    target.name,
                    operation.name,
                    json.dumps(recordable(operation, arguments)),
                    user,
                    running.before,
                    first.percent,
                    first.message,
                    self._clock(),
                    json.dumps([[self._clock(), first.percent, first.message]]),
                )
                self._forget_old()
        self._launch(running, job)
        return running.number

    def check(self, target: Target, operation: Operation) -> None:
        """Refuse a job that could not begin now; it may be refused later all the same.

        Raises:
            BusyError: Another job is changing the target.
            WrongStateError: The target's state does not allow it.
        """
        with self._lock:
            present = self._running.get(target.name)
        if present is not None and (not operation.preempts or present.operation.preempts):
            raise present.busy("is still at work: wait for it")
        target.permit(operation)

    def recover(self, find: Callable[[str], Target | None]) -> None:
        """Take up the jobs that the death of the process cut off.

        Those that resume are run again from the top; the others are recorded as interrupted.
        """
        self._find = find
        rows = self._records.execute("SELECT * FROM job WHERE state = 'running' ORDER BY id")
        again = [pair for row in rows if (pair := self._taken_up(row, find(row["target"])))]
        # All are known to be at work before the first one goes on: it may look for the others.
        self._running |= {running.target.name: running for running, _ in again}
        for running, job in again:
            logger.warning("job %d (%s) is taken up again", running.number, running.operation.name)
            self._launch(running, job)

    def _taken_up(self, row: Any, target: Target | None) -> tuple[_Running, Job[Any]] | None:
        """Return a job that was cut off, made anew; None, and it is closed, where it cannot be."""
        if target is None:
            gone = NotFoundError(f"{row['target']} is gone")
            self._close(row["id"], JobState.INTERRUPTED, str(gone), error=gone)
            return None
        unknown = _unknown(row["operation"])
        running = _Running(row["id"], target, unknown, row["before"], resuming=True)
        try:
            running.operation = target.declared(row["operation"])
            if not running.operation.resumes:
                raise ConPaaSError("it was interrupted by a restart; please try again")
            file = Upload(io.BytesIO(), is_gone=True)
            given = arguments_from_json(running.operation, json.loads(row["arguments"]), file)
            return running, target.make(running.operation, given)
        except ConPaaSError as error:
            self._end(running, JobState.INTERRUPTED, error=error)
            return None

    def report(self, number: int) -> JobReport:
        """Return a job's present report.

        Raises:
            NotFoundError: There is no such job (any more).
        """
        rows = self._records.execute("SELECT * FROM job WHERE id = ?", number)
        if not rows:
            raise NotFoundError(f"there is no job {number} here")
        with self._lock:
            at_work = number in [running.number for running in self._running.values()]
        steps = tuple(JobStep(*step) for step in json.loads(rows[0]["steps"]))
        report = replace(report_of(rows[0]), steps=steps)
        if report.state.ended and at_work:
            # Its end is still being announced: whoever hears of it may rely on it.
            return replace(report, state=JobState.RUNNING, finished=None, result=None, error=None)
        if report.user and report.could_be_tried_again and (target := self._find(report.target)):
            with suppress(NotFoundError):  # an operation may not be there any more
                declared = target.declared(report.operation)
                return replace(report, arguments=tellable(declared, rows[0]["arguments"]))
        return report

    def latest(self, count: int = 50) -> list[JobReport]:
        """Return the latest jobs, newest first."""
        rows = self._records.execute("SELECT * FROM job ORDER BY id DESC LIMIT ?", count)
        return [report_of(row) for row in rows]

    def busy(self, target: str) -> bool:
        """Whether a job is changing the target of that name."""
        return target in self._running

    # -- one at a time ------------------------------------------------------------------------

    def _reserved(self, target: Target, operation: Operation) -> _Reservation:
        with self._lock:
            present = self._running.get(target.name)
            if present is None:
                running = _Running(0, target, operation, None)
                self._running[target.name] = running
                return _Reservation(self, running)
        gives_way = present.operation.gives_way and not operation.gives_way
        if gives_way:
            present.why_cancelled = f"it gave way to {operation.name}: ask for it again"
        elif not operation.preempts or present.operation.preempts:
            raise present.busy("is still at work: wait for it")
        present.cancelled.set()
        if not present.ended.wait(CANCEL_PATIENCE):
            raise present.busy("has been told to stop and has not yet: try again in a moment")
        return self._reserved(target, operation)

    def _release(self, running: _Running) -> None:
        with self._lock:
            if self._running.get(running.target.name) is running:
                del self._running[running.target.name]
        _close_all(running.files)
        running.ended.set()

    # -- the life of a job --------------------------------------------------------------------

    def _launch(self, running: _Running, job: Job[Any]) -> None:
        threading.Thread(
            target=self._run, args=(running, job), name=f"job-{running.number}", daemon=True
        ).start()

    def _run(self, running: _Running, job: Job[Any]) -> None:
        _present.set(running)
        try:
            self._end(running, *self._outcome(running, job))
        except Exception:
            # Its record still says that it runs: the next start takes it up again.
            logger.exception("job %d (%s) could not be ended", *running.names)
        finally:
            self._release(running)

    def _outcome(
        self, running: _Running, job: Job[Any]
    ) -> tuple[JobState, Any, ConPaaSError | None]:
        try:
            while not running.cancelled.is_set():
                self._note(running, next(job))
            job.close()
            return JobState.CANCELLED, None, BusyError(running.why_cancelled)
        except StopIteration as stop:
            value = stop.value
        except ConPaaSError as error:
            logger.warning("job %d (%s) failed: %s", *running.names, error)
            return JobState.FAILED, None, error
        except Exception as error:
            return self._bug(running, error)
        try:
            return JobState.DONE, to_json(value), None
        except Exception as error:
            return self._bug(running, error)

    def _bug(
        self, running: _Running, error: Exception
    ) -> tuple[JobState, Any, ConPaaSError | None]:
        logger.error("job %d (%s) broke", *running.names, exc_info=error)
        told = ConPaaSError(f"internal error: {type(error).__name__}: {error}")
        return JobState.FAILED, None, told

    def _note(self, running: _Running, step: Progress) -> None:
        # Every word is kept, the latest in the place of the last when there are many.  In one go
        # with the present one: who looked in between would be told the last word after this one.
        # What has to be done again takes nobody back.
        self._records.execute(
            "UPDATE job SET percent = MAX(percent, ?1), message = ?2, "
            "steps = CASE WHEN message = ?2 THEN steps ELSE "
            "json_set(steps, '$[' || MIN(json_array_length(steps), ?3) || ']', "
            "json_array(?4, MAX(percent, ?1), ?2)) END "
            "WHERE id = ?5 AND (percent < ?1 OR message != ?2)",
            step.percent,
            step.message,
            KEPT_STEPS - 1,
            self._clock(),
            running.number,
        )

    def _end(
        self,
        running: _Running,
        state: JobState,
        result: Any = None,
        error: ConPaaSError | None = None,
    ) -> None:
        with self._records.transaction():
            reason = str(error) if error else ""
            self._close(running.number, state, reason, result, error)
            running.target.end(running.operation, running.before, state, reason)
        self._changed()

    def _close(
        self,
        number: int,
        state: JobState,
        reason: str,
        result: Any = None,
        error: ConPaaSError | None = None,
    ) -> None:
        self._records.execute(
            "UPDATE job SET state = ?, result = ?, error = ?, finished = ?, "
            "percent = CASE WHEN ?1 = 'done' THEN 100 ELSE percent END, "
            "message = CASE WHEN ?5 = '' THEN message ELSE ?5 END WHERE id = ?6",
            state.value,
            json.dumps(result),
            json.dumps(error.to_json()) if error else None,
            self._clock(),
            reason,
            number,
        )

    def _forget_old(self) -> None:
        self._records.execute(
            "DELETE FROM job WHERE finished IS NOT NULL AND id <= (SELECT MAX(id) FROM job) - ?",
            KEPT,
        )

    def present(self) -> int | None:
        """Return the number of the job that this thread runs, None when it runs none."""
        running = _present.get()
        return None if running is None else running.number


class _Reservation:
    """Keeps other jobs off a target while one is being checked."""

    def __init__(self, runner: JobRunner, running: _Running) -> None:
        self._runner = runner
        self._running = running

    def __enter__(self) -> _Running:
        return self._running

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self._runner._release(self._running)


def _close_all(files: list[Upload]) -> None:
    for file in files:
        file.stream.close()


def _unknown(operation: str) -> Operation:
    """Return a declaration for a job of an operation that is not there any more: it failed."""
    return Operation(
        name=operation, summary="", description="", parameters=(), result=None, is_job=True,
        meanwhile=State.ERROR, otherwise=State.ERROR,
    )  # fmt: skip


def resuming() -> bool:
    """Whether the job that this thread runs is run again after a crash."""
    running = _present.get()
    return running is not None and running.resuming
