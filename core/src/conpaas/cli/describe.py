"""Turn a declared operation into a command of the index."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
from collections.abc import Collection, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from conpaas.api import Services
from conpaas.cli.shapes import Argument, Command
from conpaas.rpc import JobReport, Operation, Parameter, PerRole, Upload
from conpaas.schema import DETAIL, Hint
from conpaas.service import Role

FORMATS = ("table", "json", "yaml", "csv", "value")
_SAVED = "Where to save it; - is stdout"
_PLAIN = {str: "text", int: "integer", float: "number", Upload: "upload"}
#: The columns of a list of jobs: the others are in ``job get`` and in the other formats.
_JOB_COLUMNS = ("id", "target", "operation", "state", "percent", "message", "created")


def command(
    object_name: str,
    operation: Operation,
    *,
    of_service: bool = False,
    roles: Sequence[Role] = (),
    default_role: str = "",
    service_type: str = "",
) -> Command:
    """Describe an operation as a command of ``object_name``.

    Args:
        object_name: As it is typed.
        operation: What is called.
        of_service: It belongs to a service: the application and the service come first.
        roles: What the counts of nodes may be given for.
        default_role: What ``--count`` counts, where that is known.
        service_type: The type that the object's name implies, if it does.
    """
    arguments = [*_WHICH_SERVICE] if of_service else []
    preset: dict[str, Any] = {}
    nodes = ""
    for parameter in operation.parameters:
        per_role = _per_role(parameter)
        if service_type and not of_service and parameter.name == "service_type":
            preset["service_type"] = service_type
        elif per_role is not None:
            nodes = parameter.name
            arguments += _counts(per_role, roles, default_role)
        else:
            arguments.append(_argument(parameter))
    taken = [flag for argument in arguments for flag in argument["flags"]]
    result, columns, times = _result(operation)
    arguments += _switches(operation, result, taken)
    # A service type offers what is about services in general by its own name.
    called = Services.object if service_type else object_name
    rows_of_all_types = service_type and operation.name == "get_types"
    return Command(
        object=object_name,
        operation=operation.name,
        summary=operation.summary,
        description=operation.description,
        path=f"/{operation.name}" if of_service else f"/{called}/{operation.name}",
        of_service=of_service,
        arguments=arguments,
        preset=preset,
        where={"type": service_type} if rows_of_all_types else {},
        nodes=nodes,
        result=result,
        columns=columns,
        times=times,
        is_job=operation.is_job,
        reads=operation.reads,
        done=operation.done,
        confirm=operation.confirm,
        follow=operation.follow,
        public=operation.public,
        prints=operation.prints,
        written="",
        words=(),
    )


def _argument(parameter: Parameter) -> Argument:
    option = parameter.hint.option
    kind, many, choices = _kind(parameter.hint.inner)
    if kind == "truth" and not parameter.required and parameter.default is not None:
        kind = "off" if parameter.default else "on"
    positional = parameter.required if option.positional is None else option.positional
    dashed = parameter.name.replace("_", "-")
    flags: tuple[str, ...] = ()
    if not positional:
        long = f"--no-{dashed}" if kind == "off" else f"--{dashed}"
        flags = (option.short, long) if option.short else (long,)
    return Argument(
        name=parameter.name,
        group="argument",
        kind=kind,
        flags=flags,
        metavar=option.metavar or (parameter.name if positional else _metavar(kind, dashed)),
        help=parameter.hint.help,
        default=_default(parameter, kind),
        required=parameter.required,
        many=many,
        secret=option.secret,
        known=option.known,
        asked=option.asked,
        choices=choices,
    )


def _metavar(kind: str, dashed: str) -> str:
    return {"integer": "N", "number": "X", "json": "JSON", "truth": "yes|no"}.get(
        kind, dashed.rpartition("-")[2].upper()
    )


def _default(parameter: Parameter, kind: str) -> str:
    if parameter.required or parameter.default in (None, "", (), [], {}) or kind in ("on", "off"):
        return ""
    value = parameter.default
    if isinstance(value, enum.Enum):
        value = value.value
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _kind(hint: Any) -> tuple[str, bool, dict[str, Any]]:
    hint = Hint.of(hint).inner
    origin = get_origin(hint)
    if hint is bool:
        return "truth", False, {}
    if hint in _PLAIN:
        return _PLAIN[hint], False, {}
    if origin is Literal:
        return "choice", False, {str(value): value for value in get_args(hint)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "choice", False, {str(member.value): member.value for member in hint}
    if origin in (Union, types.UnionType):
        arms = {Hint.of(arm).inner for arm in get_args(hint)} - {type(None)}
        return ("reference" if arms == {str, int} else "text"), False, {}
    if origin in (list, set, frozenset) or (origin is tuple and get_args(hint)[-1] is ...):
        kind, many, choices = _kind(get_args(hint)[0])
        return ("json", False, {}) if many or kind == "json" else (kind, True, choices)
    structured = origin in (dict, tuple) or hint in (dict, list, tuple, Any)
    return ("json" if structured or dataclasses.is_dataclass(hint) else "text"), False, {}


def _per_role(parameter: Parameter) -> PerRole | None:
    extras = get_args(parameter.hint.full)[1:]
    return next((extra for extra in extras if isinstance(extra, PerRole)), None)


def _counts(per_role: PerRole, roles: Sequence[Role], default_role: str) -> list[Argument]:
    counts = {"count": default_role or "that is the default"}
    counts |= {role.name: role.name for role in roles if not role.fixed}
    found = []
    for name, role in counts.items():
        text = per_role.help.format(role=role)
        count = _switch(name.replace("_", "-"), "integer", "", "N", text)
        count["name"], count["group"] = name, "role"
        found.append(count)
    return found


def _result(operation: Operation) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    if operation.is_download:
        return "file", (), ()
    hint = Hint.of(operation.result).inner
    result = "value"
    if get_origin(hint) in (list, tuple, set, frozenset):
        result, hint = "rows", Hint.of(get_args(hint)[0]).inner
    elif dataclasses.is_dataclass(hint):
        result = "record"
    if hint is JobReport:
        columns = _JOB_COLUMNS if result == "rows" else _fields(hint)[:-1]  # without its steps
        return result, columns, ("created", "finished")
    if not dataclasses.is_dataclass(hint):
        return result, (), ()
    return result, _in_table(hint) if result == "rows" else _fields(hint), ()


def _fields(hint: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(hint))


def _in_table(hint: Any) -> tuple[str, ...]:
    hints = get_type_hints(hint, include_extras=True)
    return tuple(name for name in _fields(hint) if DETAIL not in get_args(hints[name])[1:])


def _switches(operation: Operation, result: str, taken: Collection[str]) -> list[Argument]:
    wanted = []
    if result == "file":
        where = "Where to save it; default: stdout" if operation.prints else _SAVED
        wanted.append(_switch("output", "text", "-o", "FILE", where))
    else:
        formats = _switch("format", "choice", "-f", "FORMAT", "How to show the result")
        formats["choices"] = {name: name for name in FORMATS}
        formats["default"] = "table"
        wanted.append(formats)
        column = _switch("column", "text", "-c", "COLUMN", "Show this column; may be repeated")
        column["many"] = True
        wanted.append(column)
    if operation.confirm:
        wanted.append(_switch("yes", "on", "-y", "", "Do not ask whether to go on"))
    if operation.follow:
        wanted.append(_switch("follow", "on", "", "", "Go on showing what is added, till Ctrl-C"))
    if operation.is_job:
        wanted.append(_switch("no-wait", "on", "", "", "Do not wait for the job to end"))
    for switch in wanted:
        switch["flags"] = tuple(flag for flag in switch["flags"] if flag not in taken)
    return [switch for switch in wanted if switch["flags"]]


def _switch(name: str, kind: str, short: str, metavar: str, text: str) -> Argument:
    return Argument(
        name=name,
        group="switch",
        kind=kind,
        flags=(short, f"--{name}") if short else (f"--{name}",),
        metavar=metavar,
        help=text,
        default="",
        required=False,
        many=False,
        secret=False,
        known=False,
        asked="",
        choices={},
    )


def _which(name: str, metavar: str, text: str) -> Argument:
    which = _switch(name, "reference", "", metavar, text)
    which["group"], which["flags"], which["required"] = "argument", (), True
    return which


_WHICH_SERVICE = (
    _which("application", "app_name_or_id", "Name or id of an application"),
    _which("service", "serv_name_or_id", "Name or id of a service"),
)
