"""What a call is about, for the record of changing calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conpaas.api import ApplicationInfo, InvitationInfo, KeyInfo, ServiceInfo, UserInfo
from conpaas.director import administrators
from conpaas.director.audit import Entry, Target, Unrecorded
from conpaas.director.director import Director
from conpaas.director.models import Application, Service
from conpaas.director.objects import ApiObject
from conpaas.director.users import Caller
from conpaas.errors import ConPaaSError
from conpaas.rpc import Operation

#: Arguments that name something of the caller's own by its number.
_NUMBERS = ("token", "key", "invitation")


def entry(director: Director, caller: Caller, name: str, operation: Operation) -> Entry:
    """Return the entry of a call in the record.

    Of managers only jobs are recorded, the machines that they create and remove: the rest is how
    they do what somebody else has called for.
    """
    if operation.reads or (caller.is_manager and not operation.is_job):
        return Unrecorded()
    return director.audit.entry(caller, name, operation.name)


def of_service(application: Application, service: Service) -> Target:
    """Return a service as the target of a call."""
    return Target(
        f"service {service.number} of application {application.id}",
        application.id,
        application.user_id,
    )


def of_call(things: ApiObject, name: str, arguments: Mapping[str, Any]) -> Target:
    """Return what a call of the API is about; what cannot be found stands there as it was named.

    Args:
        things: As the caller sees them.
        name: Of the object that is called.
        arguments: Of the call.
    """
    caller = things.caller
    if caller.application is not None:
        return _of_manager(caller, arguments)
    if (ref := arguments.get("application")) is not None:
        return _of_application(things, ref, arguments.get("service"))
    for what in _NUMBERS:
        # Only numbers: ``invitation`` is also the code with which somebody registers.
        if isinstance(arguments.get(what), int):
            return Target(f"{what} {arguments[what]}")
    if name != "user":
        return Target()
    if (ref := arguments.get("user")) is not None:
        return Target(f"user {_username(things, ref)}")
    return Target(f"user {arguments.get('username', caller.username)}")


def made(result: Any) -> str:
    """Return the thing that a call has made or changed, where its result says it."""
    match result:
        case ApplicationInfo():
            return f"application {result.aid}"
        case ServiceInfo():
            return f"service {result.sid} of application {result.aid}"
        case UserInfo():
            return f"user {result.username}"
        case KeyInfo():
            return f"key {result.id}"
        case InvitationInfo():
            return f"invitation {result.id}"
    return ""


def _of_manager(caller: Caller, arguments: Mapping[str, Any]) -> Target:
    text = f"application {caller.application}"
    if "service" in arguments:
        text = f"service {arguments['service']} of {text}"
    return Target(text, caller.application, caller.user)


def _of_application(things: ApiObject, ref: str | int, service: str | int | None) -> Target:
    try:
        row = things.find_application(ref)
        if service is None:
            return Target(f"application {row.id}", row.id, row.user_id)
        return of_service(row, things.find_service(row, service))
    except ConPaaSError:
        text = f"application {str(ref)[:80]}"
        return Target(text if service is None else f"service {str(service)[:80]} of {text}")


def _username(things: ApiObject, ref: str | int) -> str:
    if things.caller.admin:
        try:
            return str(administrators.find_user(ref).username)
        except ConPaaSError:
            pass
    own = str(ref) in (things.caller.username, str(things.caller.user))
    return things.caller.username if own else str(ref)[:80]
