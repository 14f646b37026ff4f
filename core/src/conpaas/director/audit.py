"""The record of changing calls: written before each begins, completed when it has ended.

A call that was cut off by a crash keeps the outcome ``unknown``.  What was said in a call is
never written here: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from conpaas.api import AuditInfo
from conpaas.director.models import AuditRow, User
from conpaas.director.times import in_words
from conpaas.director.users import Caller
from conpaas.errors import ConPaaSError
from conpaas.rpc import JobReport, JobState

UNKNOWN, OK, CANCELLED = "unknown", "ok", "cancelled"
MAX_DETAIL = 1000


@dataclass(frozen=True)
class Target:
    """What a call is about; ``owner`` is whose application it is, where it is about one."""

    text: str = ""
    application: int | None = None
    owner: int | None = None


class Entry:
    """One call's part of the record; use it as a context manager around the call.

    A call that is refused before :meth:`about` is written when it is over; any other twice.
    """

    def __init__(self, clock: Callable[[], float], caller: Caller, object_: str, name: str):
        self._clock = clock
        self._caller = caller
        self._object, self._operation = object_[:64], name[:64]
        self._target = Target()
        self._ending: dict[str, Any] = {"outcome": OK}
        self.number: int | None = None

    def about(self, target: Target) -> None:
        """Note what the call is about: from now on it may change something."""
        self._target = target
        self.number = self._write(UNKNOWN, "")

    def made(self, text: str) -> None:
        """Note what the call has made or changed; nothing to note for an empty text."""
        if text:
            self._ending["target"] = text[:255]

    def manager_job(self, number: int) -> None:
        """Note that a job of the application's manager has begun."""
        self._ending = {
            "outcome": f"job {number}", "manager_job": number,
            "detail": f"job {number} of the application's manager",
        }  # fmt: skip

    def failed(self, code: str, message: str) -> None:
        """Note that the call has failed, where no error is raised."""
        self._ending = {"outcome": code[:64], "detail": _detail(message)}

    def job(self, number: int) -> None:
        """Note that a job has begun, in the transaction that records it."""
        self._ending = {}
        AuditRow.update(job=number, outcome=f"job {number}", detail=f"job {number}").where(
            AuditRow.id == self.number
        ).execute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            known = isinstance(error, ConPaaSError)
            code = error.code if isinstance(error, ConPaaSError) else ConPaaSError.code
            self.failed(code, str(error) if known else type(error).__name__)
        if self.number is None:
            self._write(self._ending["outcome"], self._ending.get("detail", ""))
        elif self._ending:
            AuditRow.update(**self._ending).where(AuditRow.id == self.number).execute()

    def _write(self, outcome: str, detail: str) -> int:
        caller, target = self._caller, self._target
        row = AuditRow.create(
            time=self._clock(),
            user=caller.user or None,
            username=caller.username,
            owner=target.owner,
            address=caller.address,
            object=self._object,
            operation=self._operation,
            target=target.text[:255],
            application=target.application,
            outcome=outcome,
            detail=detail,
        )
        return int(row.id)


class Unrecorded(Entry):
    """Stands for the entry of a call that changes nothing."""

    def __init__(self) -> None:
        self.number = None

    def about(self, target: Target) -> None:
        """Write nothing."""

    def made(self, text: str) -> None:
        """Write nothing."""

    def manager_job(self, number: int) -> None:
        """Write nothing."""

    def failed(self, code: str, message: str) -> None:
        """Write nothing."""

    def job(self, number: int) -> None:
        """Write nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write nothing."""


class AuditBook:
    """Writes the record and reads it.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    # -- writing ------------------------------------------------------------------------------

    def entry(self, caller: Caller, object_: str, operation: str) -> Entry:
        """Return the entry of a changing call that has not begun."""
        return Entry(self._clock, caller, object_, operation)

    def refused_login(
        self, user: User | None, address: str, action: str, error: ConPaaSError
    ) -> None:
        """Record a wrong password.

        The name that was given is written only when it is a user's: people type their password
        there.
        """
        object_, _, operation = action.partition(" ")
        who = Caller(user.id, user.username) if user else Caller(0, "")
        AuditRow.create(
            time=self._clock(),
            user=user.id if user else None,
            username=who.username,
            owner=user.id if user else None,
            address=address,
            object=object_[:64],
            operation=operation[:64],
            target=f"user {who.username}" if user else "an unknown user",
            outcome=error.code,
            detail=_detail(error.message),
        )

    def job_ended(self, number: int, state: JobState, error: ConPaaSError | None) -> None:
        """Complete the entry of the call that began a job of the director."""
        self._end(AuditRow.job == number, number, state, error.code if error else "", str(error))

    def manager_job_ended(self, application: int, report: JobReport) -> None:
        """Complete the entry of the call that began a job of an application's manager."""
        told = report.error or {}
        of_it = (
            (AuditRow.application == application)
            & (AuditRow.manager_job == report.id)
            & (AuditRow.outcome == f"job {report.id}")
        )
        self._end(
            of_it, report.id, report.state, str(told.get("code", "")), str(told.get("message", ""))
        )

    def _end(self, of_it: Any, number: int, state: JobState, code: str, message: str) -> None:
        if state is JobState.DONE:
            outcome, detail = OK, f"job {number}"
        else:
            outcome = CANCELLED if state is JobState.CANCELLED else code or state.value
            detail = f"job {number}: {message}"
        AuditRow.update(outcome=outcome[:64], detail=_detail(detail)).where(of_it).execute()

    # -- reading ------------------------------------------------------------------------------

    def rows(
        self,
        visible_to: int | None,
        *,
        user: str | None = None,
        action: str | None = None,
        target: str | None = None,
        outcome: str | None = None,
        since: float | None = None,
        before: int | None = None,
        count: int = 100,
    ) -> tuple[AuditInfo, ...]:
        """Return entries, newest first.

        Args:
            visible_to: Only calls of this user and what was done to his things; None: all.
            user: Only calls of the user of that name.
            action: Only this operation, with its object or without.
            target: Only what was done to this.
            outcome: ``ok`` or ``failed``.
            since: Only from this time on.
            before: Only those with a smaller number.
            count: How many at most.
        """
        wanted: list[Any] = []
        if user is not None:
            wanted.append(AuditRow.username == user)
        if action is not None:
            object_, _, operation = action.strip().rpartition(" ")
            wanted.append(AuditRow.operation == operation.strip())
            if object_:
                wanted.append(AuditRow.object == object_.strip())
        if target is not None:
            wanted.append(AuditRow.target == target)
        if outcome == OK:
            wanted.append(AuditRow.outcome == OK)
        elif outcome is not None:
            wanted.append(AuditRow.outcome.not_in([OK, UNKNOWN]))
            wanted.append(~AuditRow.outcome.startswith("job "))
        if since is not None:
            wanted.append(AuditRow.time >= since)
        if before is not None:
            wanted.append(AuditRow.id < before)
        if visible_to is None:
            return tuple(_info(row) for row in _latest(wanted, count))
        # Two questions, for each of which there is an index: one with OR would sort all of them.
        own = _latest([AuditRow.user == visible_to, *wanted], count)
        done_to = (AuditRow.owner == visible_to) & (
            (AuditRow.user != visible_to) | AuditRow.user.is_null()
        )
        others = _latest([done_to, *wanted], count)
        both = sorted([*own, *others], key=lambda row: -row.id)[:count]
        return tuple(_info(row, hide_address=row.user != visible_to) for row in both)


def _latest(wanted: list[Any], count: int) -> list[AuditRow]:
    rows = AuditRow.select().order_by(AuditRow.id.desc()).limit(count)
    return list(rows.where(*wanted) if wanted else rows)


def _info(row: AuditRow, hide_address: bool = False) -> AuditInfo:
    return AuditInfo(
        row.id,
        in_words(row.time),
        row.username,
        "" if hide_address else row.address,
        f"{row.object} {row.operation}".strip(),
        row.target,
        row.outcome,
        row.detail,
    )


def _detail(message: str) -> str:
    return message.replace("\0", "")[:MAX_DETAIL]
