"""Applications: created, started, stopped, deleted."""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import time
from typing import Any

import peewee

from conpaas import api
from conpaas.api import ApplicationInfo, Change
from conpaas.director import leaving
from conpaas.director.jobs import Scope
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine, Service, StateChange, database
from conpaas.director.objects import ApiObject
from conpaas.director.prepared import Prepared
from conpaas.director.volumes import volumes_of
from conpaas.errors import CloudError, ConPaaSError, InvalidError, UnsavedError
from conpaas.jobs import resuming
from conpaas.manager.application import ApplicationManager
from conpaas.rpc import Job, JobState, Operation, Piece, Progress, patiently, scaled
from conpaas.state import State

ANSWER_TIMEOUT = 120.0  #: seconds for a manager that has joined to answer
logger = logging.getLogger(__name__)
#: A user's applications, each with the address of its manager.
_LIST = Prepared(
    lambda user: (
        Application.select(
            Application.id, Application.name, Machine.address, Application.cloud,
            Application.state,
        )
        .join(
            Machine,
            peewee.JOIN.LEFT_OUTER,
            on=(
                (Machine.application == Application.id)
                & (Machine.service == 0)
                & (Machine.state == Life.RUNNING.value)
            ),
        )
        .where(Application.user == user)
        .order_by(Application.id)
    )
)  # fmt: skip


class ApplicationsObject(ApiObject, api.Applications):
    """``application``."""

    def create(self, name: str) -> ApplicationInfo:
        """Create an application."""
        try:
            with database.atomic():
                # Again: whoever is being deleted must not get something new meanwhile.
                leaving.refuse_shut_out(self.caller.user)
                row = Application.create(user=self.caller.user, name=name, state=State.INIT.value)
                self.director.set_state(row, State.INIT, "created")
        except peewee.IntegrityError:
            raise InvalidError(f"you have an application called {name!r} already") from None
        return self.info(row)

    def list(self) -> tuple[ApplicationInfo, ...]:
        """List the caller's applications."""
        rows = _LIST.rows(self.caller.user)
        return tuple(ApplicationInfo(*row) for row in rows)

    def get_info(self, application: str | int) -> ApplicationInfo:
        """Show one application."""
        return self.info(self.find_application(application))

    def rename(self, application: str | int, new_name: str) -> ApplicationInfo:
        """Rename an application."""
        row = self.find_application(application)
        try:
            Application.update(name=new_name).where(Application.id == row.id).execute()
        except peewee.IntegrityError:
            raise InvalidError(f"there is an application called {new_name!r} already") from None
        return self.info(Application.get_by_id(row.id))

    def start(self, application: str | int, cloud: str | None = None) -> Job[ApplicationInfo]:
        """Start an application's manager."""
        row = self.find_application(application)
        place = self.director.room.cloud(cloud)
        yield Progress(0, f"asking the cloud {place.name} for a machine for the manager")
        row.cloud = place.name
        row.save(only=[Application.cloud])
        yield from scaled(self.start_manager(row, takes_over=False), 0, 100)
        return self.info(Application.get_by_id(row.id), State.RUNNING)

    def replace_manager(self, application: str | int) -> Job[ApplicationInfo]:
        """Start a manager on another machine that takes over from one that is lost."""
        row = self.find_application(application)
        yield Progress(0, "the manager's machine is lost: asking for another")
        lost = self.director.manager_machine(row)
        if lost is not None and self.director.room.is_gone(lost):
            self.director.room.destroy([lost])
        yield from scaled(self.start_manager(row, takes_over=True), 0, 100)
        return self.info(Application.get_by_id(row.id), State.RUNNING)

    def start_manager(self, row: Application, *, takes_over: bool) -> Job[None]:
        """Start a machine for the manager and wait until it answers."""
        waiting = list(
            Machine.select().where(
                Machine.application == row,
                Machine.service == 0,
                Machine.state.in_(Life.living()),
            )
        )
        machines = waiting or self.director.room.want(
            row, 0, "mgr", ["manager"], secrets.token_hex(8), row.cloud, takes_over
        )
        machines = yield from scaled(self.director.room.boot(machines), 0, 70)
        until = self.director.clock() + ANSWER_TIMEOUT
        while not self.director.manager_answers(machines[0]):
            yield Progress(80, "waiting for the manager to answer")
            if self.director.clock() > until:
                self.director.room.destroy(machines)
                raise CloudError(
                    f"the manager on {machines[0].name} ({machines[0].address}) has joined and "
                    f"does not answer after {ANSWER_TIMEOUT:.0f} s"
                )
            time.sleep(0.05)

    def stop(self, application: str | int, unsaved: bool = False) -> Job[ApplicationInfo]:
        """Stop an application and all its services."""
        row = self.find_application(application)
        if not unsaved and not resuming():
            self._check_save(row)
        yield Progress(0, "stopping the services")
        yield from scaled(self._stop_services(row, unsaved), 0, 70)
        yield Progress(70, "giving the machines back")
        self._destroy_all(row)
        Service.update(state=State.STOPPED.value).where(
            Service.application == row, Service.state != State.INIT.value
        ).execute()
        return self.info(Application.get_by_id(row.id), State.STOPPED)

    def delete(self, application: str | int) -> Job[ApplicationInfo]:
        """Stop an application and delete it with all that belongs to it."""
        row = self.find_application(application)
        info = self.info(row)
        yield Progress(0, "giving the machines back")
        self._destroy_all(row)
        if volumes := volumes_of(row.id):
            yield Progress(70, f"destroying {', '.join(v.name for v in volumes)} and all data")
            self.director.volumes.destroy(volumes)
        yield Progress(90, "deleting the application")
        self.director.files(row.id).delete_all()
        return info

    def get_history(self, application: str | int) -> tuple[Change, ...]:
        """Show every change of the application's state, oldest first."""
        row = self.find_application(application)
        changes = StateChange.select().where(StateChange.application == row)
        return tuple(
            Change(
                dt.datetime.fromtimestamp(c.time, dt.UTC).isoformat(timespec="milliseconds"),
                c.state,
                c.reason,
            )
            for c in changes.order_by(StateChange.id)
        )

    def get_log(self, application: str | int, lines: int = 1000) -> str:
        """Show the end of the log of the application's manager."""
        return self._manager(application).get_log(lines=lines)

    def read_log(
        self, application: str | int, lines: int = 1000, after: str | None = None
    ) -> Piece:
        """Return what the log of the application's manager has grown by."""
        return self._manager(application).read_log(lines=lines, after=after)

    def _manager(self, application: str | int) -> ApplicationManager:
        machine = self.director.require_manager(self.find_application(application))
        return self.director.manager(machine, self.caller.username)

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return the application that a job changes."""
        row = self.find_application(arguments["application"])
        return Scope(f"application {row.id}", row.id)

    def permit(self, operation: Operation, scope: Scope) -> None:
        """Permit what the application's state allows, and no start for one who is shut out."""
        super().permit(operation, scope)
        if operation.name in ("start", "replace_manager"):
            leaving.refuse_shut_out(Application.get_by_id(scope.application).user_id)

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Enter the state that follows; after a deletion there is none, and no application."""
        super().end(operation, scope, before, state, reason)
        if operation.name == "delete" and state is JobState.DONE:
            # With the job's own end: a worker that takes it up must find what it is to delete.
            Application.delete().where(Application.id == scope.application).execute()

    def info(self, row: Application, state: State | None = None) -> ApplicationInfo:
        """Return an application as users see it; ``state``: the one that its job leads to."""
        machine = self.director.manager_machine(row)
        address = machine.address if machine else None
        return ApplicationInfo(row.id, row.name, address, row.cloud, state or row.state)

    def _check_save(self, row: Application) -> None:
        machine = self.director.manager_machine(row)
        if machine is None:
            return
        try:
            self.director.manager(machine, self.caller.username).check_save()
        except UnsavedError:
            raise
        except ConPaaSError as error:
            # One that does not answer can save nothing, and must not keep the machines.
            logger.warning("the manager of application %d cannot be asked: %s", row.id, error)

    def _stop_services(self, row: Application, unsaved: bool) -> Job[None]:
        machine = self.director.manager_machine(row)
        if machine is None:
            return
        try:
            manager = self.director.manager(machine, self.caller.username)
            yield from patiently(lambda: manager.stop_services(unsaved=unsaved))
        except UnsavedError:
            raise
        except ConPaaSError as error:
            # Its machines go anyway; what it handed over before is kept.
            logger.warning("the manager of application %d cannot stop: %s", row.id, error)
            yield Progress(100, f"the manager cannot stop its services, going on: {error}")

    def _destroy_all(self, row: Application) -> None:
        machines = Machine.select().where(
            Machine.application == row, Machine.state != Life.GONE.value
        )
        self.director.room.destroy(list(machines))
