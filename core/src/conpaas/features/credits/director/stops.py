"""Applications that are stopped when their credit is used up, and start again after a top-up.

Each has a row that says how far it is; a round carries it one step on.  The director's jobs do
the work, and their records say how it ended: nothing is remembered in between.  A job on the
application that is not ours means that its user has taken over: then the row goes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import peewee

from conpaas.director.director import Director
from conpaas.director.machines import Life
from conpaas.director.models import (
    Application,
    Job,
    Machine,
    Service,
    StateChange,
    database,
)
from conpaas.director.users import Caller
from conpaas.errors import (
    BusyError,
    ConPaaSError,
    UnreachableError,
    UnsavedError,
    WrongStateError,
)
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.tables import CreditStop, Phase
from conpaas.rpc import JobState, stub
from conpaas.state import State

TRIES = 3  #: how often a start that fails is tried
#: Jobs on an application that its user does not ask for.
NOT_THE_USERS = ("replace_manager",)
RUNS = (State.PROLOGUE.value, State.RUNNING.value, State.ADAPTING.value)
logger = logging.getLogger(__name__)


class Stops:
    """Stops applications for lack of credit, and starts them again.

    Args:
        director: Whose.
    """

    def __init__(self, director: Director) -> None:
        self._director = director
        self._ledger = Ledger(director.config)

    def leaving(self, owner: int) -> list[int]:
        """Return a user's applications that are being stopped: they are charged no more."""
        rows = (
            CreditStop.select(CreditStop.application)
            .join(Application)
            .where(Application.user == owner, CreditStop.phase == Phase.STOPPING.value)
        )
        return [row.application_id for row in rows]

    def note(self, number: int) -> None:
        """Note that an application is to be stopped, with the services that run.

        One that is being stopped or deleted already is left alone.
        """
        with database.atomic():
            application = Application.get_by_id(number)
            active = _active(number)
            present = CreditStop.get_or_none(CreditStop.application == number)
            if active is not None and active.operation in ("stop", "delete"):
                return
            if present is not None and present.phase == Phase.STOPPING:
                return
            services = {one["number"]: one for one in _services(present)} | {
                one["number"]: one for one in _running(number)
            }
            CreditStop.delete().where(CreditStop.application == number).execute()
            CreditStop.insert(
                application=number,
                time=self._director.clock(),
                phase=Phase.STOPPING.value,
                services=json.dumps(list(services.values())),
                seen=_latest(number),
                line=self._ledger.last_line(),
            ).execute()
            self._tell(application, "no credit left for the next hour: it is being stopped")
        logger.warning("no credit is left for application %d: it is stopped", number)

    def needed(self, row: CreditStop) -> int:
        """Return the credit that the first hour costs, once it starts again."""
        needed = 1
        for one in _services(row):
            if _service(row, one["number"]) is not None:
                needed += one.get("machines") or 1
        return needed

    def carry_on(self) -> None:
        """Carry everything one step on, as far as it can be."""
        steps = {
            Phase.STOPPING: self._stop,
            Phase.STOPPED: self._wait,
            Phase.STARTING: self._start,
            Phase.SERVICES: self._start_services,
        }
        starting: set[int] = set()
        rows = list(CreditStop.select().order_by(CreditStop.application))
        # Those that are on their way up first: what they cost is not there for the others.
        for row in sorted(rows, key=lambda row: row.phase == Phase.STOPPED):
            owner = row.application.user_id
            try:
                if row.phase == Phase.STOPPED and owner in starting:
                    continue
                steps[Phase(row.phase)](row)
            except ConPaaSError as error:
                logger.warning("application %d, %s: %s", row.application_id, row.phase, error)
            except Exception:
                logger.exception("application %d cannot be carried on", row.application_id)
            if row.phase in (Phase.STARTING, Phase.SERVICES):
                starting.add(owner)

    # -- down ---------------------------------------------------------------------------------

    def _stop(self, row: CreditStop) -> None:
        ours, taken_over = _jobs(row, "stop")
        if taken_over:
            self._leave(row)
        elif ours is None:
            try:
                self._submit(row, "stop", unsaved=_was_unsaved(row))
            except UnsavedError:
                # Nobody pays for it any more: what cannot be saved is lost.
                self._submit(row, "stop", unsaved=True)
        elif not JobState(ours.state).ended:
            return
        elif ours.state != JobState.DONE:
            # A cloud kept a machine, say: it is stopped again.
            self._change(row, seen=ours.id)
        elif row.application.state != State.STOPPED:
            self._leave(row)
        else:
            told = "stopped: no credit left; it starts again after a top-up"
            if row.tries:
                told = "stopped: it is started again"
            self._change(row, told, phase=Phase.STOPPED.value, seen=ours.id)

    # -- up -----------------------------------------------------------------------------------

    def _wait(self, row: CreditStop) -> None:
        _, taken_over = _jobs(row)
        if taken_over or row.application.state != State.STOPPED:
            self._leave(row)
            return
        owner = row.application.user_id
        if row.application.user.disabled:
            return
        left = self._ledger.left(owner)
        added = left is not None and self._ledger.topped_up(owner, row.line)
        if left is None or (added and left >= self.needed(row)):
            self._change(
                row, "there is credit again: it is being started", phase=Phase.STARTING.value
            )
            self._start(row)

    def _start(self, row: CreditStop) -> None:
        ours, taken_over = _jobs(row, "start")
        if taken_over:
            self._leave(row)
        elif ours is None:
            self._submit(row, "start", cloud=row.application.cloud)
        elif not JobState(ours.state).ended:
            return
        elif ours.state == JobState.DONE:
            self._change(row, phase=Phase.SERVICES.value, seen=ours.id)
            self._start_services(row)
        elif row.tries + 1 < TRIES:
            # It must be stopped before it can be started once more.
            self._change(row, phase=Phase.STOPPING.value, seen=ours.id, tries=row.tries + 1)
        else:
            self._leave(row, f"it could not be started again: {ours.message}")

    def _start_services(self, row: CreditStop) -> None:
        _, taken_over = _jobs(row)
        application = row.application
        if taken_over or application.state not in (State.RUNNING, State.ADAPTING):
            self._leave(row)
            return
        if (machine := self._director.manager_machine(application)) is None:
            return  # it is being replaced
        waiting = _services(row)
        while waiting:
            service = _service(row, waiting[0]["number"])
            if service is not None:
                try:
                    self._start_service(machine, service, waiting[0]["cloud"], application)
                except (BusyError, WrongStateError):
                    pass  # it has been started already
                except UnreachableError:
                    return  # the next round finds the manager, or the one that replaces it
                except ConPaaSError as error:
                    self._tell(application, f"service {service.number} does not start: {error}")
            waiting = waiting[1:]
            self._change(row, services=json.dumps(waiting))
        self._leave(row)

    def _start_service(
        self, machine: Machine, service: Service, cloud: str | None, application: Application
    ) -> None:
        kind = self._director.plugins.service(service.type).manager_class
        channel = self._director.ways.manager(
            machine, f"/api/v1/services/{service.number}", application.user.username
        )
        # The call goes out at once; how its job gets on, its user sees.
        stub(kind, channel).start(cloud=cloud)

    # -- how it is done -----------------------------------------------------------------------

    def _submit(self, row: CreditStop, name: str, **arguments: Any) -> None:
        application = row.application
        operation = self._director.declared("application", name)
        if (active := _active(application.id)) is None or active.operation in ("stop", "delete"):
            # What its user begins in this very moment is not cancelled for it.
            operation = replace(operation, preempts=False)
        caller = Caller(application.user_id, application.user.username)
        try:
            self._director.jobs.submit(
                "application", operation, {"application": application.id, **arguments}, caller
            )
        except WrongStateError:
            self._leave(row)
        except BusyError as busy:
            logger.info("application %d: %s", application.id, busy)

    def _change(self, row: CreditStop, told: str = "", **values: Any) -> None:
        """Go on to the next step, unless another round has gone there already."""
        with database.atomic():
            changed = (
                CreditStop.update(**values)
                .where(
                    CreditStop.application == row.application_id,
                    CreditStop.phase == row.phase,
                    CreditStop.seen == row.seen,
                    CreditStop.time == row.time,
                )
                .execute()
            )
            if changed and told:
                self._tell(row.application, told)
        if not changed:
            raise BusyError("another round is at it")
        for name, value in values.items():
            setattr(row, name, value)

    def _leave(self, row: CreditStop, told: str = "") -> None:
        """Leave the application to its user."""
        with database.atomic():
            left = (
                CreditStop.delete()
                .where(CreditStop.application == row.application_id, CreditStop.time == row.time)
                .execute()
            )
            if left and told:
                self._tell(row.application, told)

    def _tell(self, application: Application, reason: str) -> None:
        # A line of the history, with the state as it is: jobs alone change it.
        state = Application.get_by_id(application.id).state
        StateChange.create(
            application=application, time=self._director.clock(), state=state, reason=reason
        )


def _target(number: int) -> str:
    return f"application {number}"


def _active(number: int) -> Job | None:
    found: Job | None = Job.get_or_none(Job.active == _target(number))
    return found


def _latest(number: int) -> int:
    found = Job.select(peewee.fn.MAX(Job.id)).where(Job.target == _target(number)).scalar()
    return int(found or 0)


def _jobs(row: CreditStop, ours: str = "") -> tuple[Job | None, bool]:
    """Return the first job of our operation since, and whether there is one of the user's."""
    jobs = list(
        Job.select()
        .where(
            Job.target == _target(row.application_id),
            Job.id > row.seen,
            Job.operation.not_in(NOT_THE_USERS),
        )
        .order_by(Job.id)
    )
    first = jobs[0] if jobs and jobs[0].operation == ours else None
    return first, len(jobs) > (first is not None)


def _was_unsaved(row: CreditStop) -> bool:
    """Whether it was tried to stop it, and something could not be saved."""
    tried: Job | None = Job.get_or_none(Job.id == row.seen, Job.operation == "stop")
    return tried is not None and json.loads(tried.error or "{}").get("code") == UnsavedError.code


def _services(row: CreditStop | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(row.services) if row is not None else []
    return found


def _service(row: CreditStop, number: int) -> Service | None:
    found: Service | None = Service.get_or_none(
        Service.application == row.application_id, Service.number == number
    )
    return found


def _running(application: int) -> Sequence[dict[str, Any]]:
    """Return number, cloud and count of machines of each service that runs, or is about to."""
    services = Service.select().where(Service.application == application, Service.state.in_(RUNS))
    found = []
    for service in services.order_by(Service.number):
        machines = list(
            Machine.select(Machine.cloud)
            .where(
                Machine.application == application,
                Machine.service == service.number,
                Machine.state.in_(Life.living()),
            )
            .order_by(Machine.id)
        )
        found.append(
            {
                "number": service.number,
                "cloud": machines[0].cloud if machines else None,
                "machines": len(machines),
            }
        )
    return found


__all__ = ["Stops"]
