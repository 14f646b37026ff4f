"""How users go: shut out first, then what they own is stopped or deleted, then they are.

Both are jobs that may be cut off anywhere and are begun again from the top.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from conpaas.api import UserInfo
from conpaas.director import administrators, tokens, users
from conpaas.director.models import Application, User, database
from conpaas.director.users import Caller
from conpaas.errors import (
    BusyError,
    ConPaaSError,
    DeniedError,
    NotFoundError,
    UnsavedError,
    WrongStateError,
)
from conpaas.rpc import Job, JobState, Progress
from conpaas.state import State

if TYPE_CHECKING:
    from conpaas.director.director import Director

_PAUSE = 0.2  #: seconds between looks at what another job does


def target(user: int) -> str:
    """Return what jobs about a user change."""
    return f"user {user}"


def number(target_: str) -> int:
    """Return whose target it is."""
    return int(target_.removeprefix("user "))


def disable(director: Director, caller: Caller, user: User) -> Job[None]:
    """Shut a user out and stop his applications."""
    yield Progress(0, "shutting the user out")
    _shut_out(user.id)
    tokens.end_sessions(user.id)
    yield from _each(director, caller, user.id, "stop")


def delete(director: Director, caller: Caller, user: User, told: UserInfo) -> Job[UserInfo]:
    """Shut a user out and delete his applications; the user goes with the end of the job."""
    yield Progress(0, "shutting the user out")
    _shut_out(user.id)
    # The sessions stay until then: who deletes himself sees how far it is.
    yield from _each(director, caller, user.id, "delete")
    yield Progress(95, "deleting the account")
    return told


def forget(user: int, now: float) -> None:
    """Delete a user whose applications have been deleted, in the transaction that ends the job.

    Raises:
        WrongStateError: He has made another one in the meantime: the job is to run again.
    """
    if Application.select().where(Application.user == user).exists():
        raise WrongStateError(f"user {user} has an application again")
    users.revoke_certificates(user, now)
    User.delete().where(User.id == user).execute()


def is_shut_out(user: int) -> bool:
    """Whether a user is disabled, or gone."""
    return not User.select().where(User.id == user, ~User.disabled).exists()


def refuse_shut_out(user: int) -> None:
    """Refuse what gives a user more, in the present transaction.

    Raises:
        DeniedError: He is disabled, or gone.
    """
    rows = User.select(User.username, User.disabled).where(User.id == user)
    if database.obj.for_update:
        # Whoever shuts him out waits until this is done, and finds what it has made.
        rows = rows.for_update()
    found = rows.tuples().first()
    if found is None or found[1]:
        raise DeniedError(
            f"the account {found[0] if found else user!r} is disabled: an administrator can let "
            "it in again (cps-user enable)"
        )


def _shut_out(user: int) -> None:
    with database.atomic():
        administrators.keep_one(user)
        User.update(disabled=True).where(User.id == user).execute()


def _each(director: Director, caller: Caller, user: int, operation: str) -> Job[None]:
    """Stop or delete each application, with a job of its own; one that fails keeps none back."""
    failed: dict[int, str] = {}
    done = 0
    # Asked again after each: one may have been created or started until the user was shut out.
    while (row := _next(user, operation, failed)) is not None:
        left = len(list(_waiting(user, operation)))
        percent = 90 * done // max(done + left, 1)
        yield Progress(percent, f"application {row.name!r}: {operation}")
        try:
            try:
                yield from _run(director, caller, row.id, operation, percent)
            except UnsavedError as error:
                yield Progress(percent, f"going on, although something is lost: {error}")
                yield from _run(director, caller, row.id, operation, percent, unsaved=True)
        except ConPaaSError as error:
            failed[row.id] = str(error)
        done += 1
    if failed:
        told = "; ".join(f"application {aid}: {why}" for aid, why in sorted(failed.items()))
        raise WrongStateError(
            f"the user is shut out, but not everything could be done ({told}): try again",
            detail={"applications": sorted(failed)},
        )


def _waiting(user: int, operation: str) -> Iterator[Application]:
    rows = Application.select().where(Application.user == user)
    if operation == "stop":
        rows = rows.where(Application.state.not_in([State.INIT.value, State.STOPPED.value]))
    yield from rows.order_by(Application.id)


def _next(user: int, operation: str, but: dict[int, str]) -> Application | None:
    return next((row for row in _waiting(user, operation) if row.id not in but), None)


def _run(
    director: Director, caller: Caller, aid: int, operation: str, percent: int, **arguments: Any
) -> Job[None]:
    """Run a job of an application, here: to wait for another worker could be for ever."""
    declared = director.declared("application", operation)
    while True:
        try:
            job = director.jobs.submit(
                "application", declared, {"application": aid, **arguments}, caller
            )
            break
        except BusyError as busy:
            yield Progress(percent, str(busy))
            time.sleep(_PAUSE)
        except NotFoundError:
            return  # whoever was at work on it has deleted it
    director.jobs.run(job)
    while not (report := director.jobs.report(job, caller)).state.ended:
        # Another worker has it.
        yield Progress(percent, report.message)
        time.sleep(_PAUSE)
    if report.state is not JobState.DONE:
        raise ConPaaSError.from_json(report.error or {"message": f"job {job} {report.state}"})
