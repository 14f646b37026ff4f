"""What all objects of the API share: who is calling, and whose things they may touch."""

from __future__ import annotations

from typing import Any

from conpaas.director.director import Director
from conpaas.director.jobs import Scope
from conpaas.director.models import Application, Service
from conpaas.director.prepared import Prepared
from conpaas.director.users import Caller
from conpaas.errors import InvalidError, NotFoundError, WrongStateError
from conpaas.nearest import did_you_mean
from conpaas.rpc import JobState, Operation
from conpaas.state import State

#: Finds the application of a number, whoever's it is.
APPLICATION = Prepared(lambda number: Application.select().where(Application.id == number))


class ApiObject:
    """One object of the API, made for one caller.

    Args:
        director: What all calls share.
        caller: Who is calling.
    """

    def __init__(self, director: Director, caller: Caller) -> None:
        self.director = director
        self.caller = caller

    # -- whose things -------------------------------------------------------------------------

    def find_application(self, ref: str | int) -> Application:
        """Return the caller's application of that name or id.

        Raises:
            NotFoundError: There is none; another user's looks the same.
        """
        number = _number(ref)
        if number is not None:
            found = APPLICATION.first(Application, number)
            if found is None or not (self.caller.admin or found.user_id == self.caller.user):
                raise NotFoundError(f"there is no application with id {number}")
            return found
        mine = Application.select()
        if not self.caller.admin:
            mine = mine.where(Application.user == self.caller.user)
        named = list(mine.where(Application.name == ref).order_by(Application.id).limit(20))
        own = [row for row in named if row.user_id == self.caller.user] or named
        if len(own) > 1:
            ids = ", ".join(str(row.id) for row in own)
            raise InvalidError(f"{len(own)} applications are called {ref!r}: say which id ({ids})")
        if not own:
            names = [name for (name,) in mine.select(Application.name).limit(1000).tuples()]
            raise NotFoundError(
                f"there is no application {str(ref)[:80]!r}{did_you_mean(str(ref), names)}"
            )
        return own[0]

    def find_service(self, application: Application, ref: str | int) -> Service:
        """Return an application's service of that name or id.

        Raises:
            NotFoundError: There is none.
            InvalidError: The name is not enough to tell which.
        """
        mine = Service.select().where(Service.application == application)
        number = _number(ref)
        if number is not None:
            found = mine.where(Service.number == number).first()
            if found is None:
                there = ", ".join(str(row.number) for row in mine.order_by(Service.number))
                hint = f"; it has: {there}" if there else "; it has none"
                raise NotFoundError(
                    f"application {application.id} has no service with id {number}{hint}"
                )
            return found
        named = list(mine.where(Service.name == ref).order_by(Service.number))
        if len(named) > 1:
            ids = ", ".join(str(row.number) for row in named)
            raise InvalidError(f"{len(named)} services are called {ref!r}: say which id ({ids})")
        if not named:
            names = [name for (name,) in mine.select(Service.name).tuples()]
            raise NotFoundError(
                f"application {application.id} has no service {str(ref)[:80]!r}"
                f"{did_you_mean(str(ref), names)}"
            )
        return named[0]

    # -- jobs: the default for objects whose jobs change no application's state ------------------

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return what a job changes."""
        raise NotImplementedError(operation.name)

    def permit(self, operation: Operation, scope: Scope) -> None:
        """Permit what the application's state allows."""
        application = Application.get_by_id(scope.application)
        if operation.states and application.state not in operation.states:
            raise WrongStateError(
                f"application {application.name!r} is {application.state}; {operation.name} is "
                f"possible when it is {' or '.join(operation.states)}",
                detail={"state": application.state, "allowed": list(operation.states)},
            )

    def begin(self, operation: Operation, scope: Scope) -> str | None:
        """Enter the application's state that the operation declares."""
        application = Application.get_by_id(scope.application)
        before = str(application.state)
        if operation.meanwhile is not None:
            self.director.set_state(application, operation.meanwhile, operation.name)
        return before

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Enter the application's state that follows."""
        application = Application.get_or_none(Application.id == scope.application)
        if application is None or operation.meanwhile is None:
            return
        after = operation.then if state is JobState.DONE else operation.otherwise
        if state is JobState.CANCELLED or after is None:
            after = State(before or State.ERROR)
        told = f"{operation.name} {state}" + (f": {reason}" if reason else "")
        self.director.set_state(application, after, told)


def _number(ref: str | int) -> int | None:
    if isinstance(ref, int):
        return ref
    return int(ref) if ref.isascii() and ref.isdigit() and len(ref) < 18 else None
