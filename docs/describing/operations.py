"""The page of the operations, and of what they return."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from conpaas.agent.base import ServiceAgent
from conpaas.api import ManagerDesk
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import Download, Operation, Parameter, PerRole, Upload, operations
from conpaas.schema import Hint
from conpaas.service import Service
from describing.spelling import cell, prose, shown, spell, type_name

_FILES = (Upload, Download)


def operations_page(plugins: Plugins) -> Iterator[str]:
    """Return the page of the operations and of what they return."""
    yield from (
        "# Operations",
        "",
        "Everything that can be asked of a director, a manager or an agent. The operations of an",
        "object `o` are at `POST /api/v1/o/<operation>` of the director, those of a service at",
        "`POST /api/v1/applications/<app>/services/<service>/<operation>`; the arguments are a",
        "JSON object. One that only reads may be called by GET too. On the command line they are",
        "in [commands.md](commands.md).",
        "",
        "*States* are those of the service (or application) that allow the operation; none given",
        "means all. A *job* runs in the background; `A → B` are the state meanwhile and after",
        "success, and the state after a failure follows in brackets.",
        "",
    )
    seen: dict[str, Any] = {}
    for cls in plugins.api:
        yield from _operations(cls.object, cls, operations(cls), seen)  # type: ignore[attr-defined]
    general = operations(ServiceManager)
    yield from _operations("every service", ServiceManager, general, seen)
    for service in plugins.services.values():
        yield from _service(service, general, seen)
    yield from (
        "# Between servers",
        "",
        "No client calls these. Managers ask the director, for their own application only:",
        "",
    )
    yield from _operations("manager", ManagerDesk, operations(ManagerDesk), seen)
    agents = operations(ServiceAgent)
    yield from ("Managers ask the agents of their application:", "")
    yield from _operations("every agent", ServiceAgent, agents, seen)
    for service in plugins.services.values():
        own = {n: o for n, o in operations(service.agent_class).items() if n not in agents}
        yield from _operations(f"{service.name} agent", service.agent_class, own, seen)
    yield from ("# What they return", "")
    for name, cls in sorted(seen.items()):
        yield from _record(name, cls)


def _service(
    service: Service, general: dict[str, Operation], seen: dict[str, Any]
) -> Iterator[str]:
    own = {n: o for n, o in operations(service.manager_class).items() if n not in general}
    yield from (
        f"## {service.name}",
        "",
        service.summary,
        "",
        "| role | does | |",
        "|---|---|---|",
    )
    for role in service.roles:
        marks = [
            *(["the default"] if role is service.default_role else []),
            *(["not added or removed by hand"] if role.fixed else []),
            *(["replaced when it is lost"] if role.replace_lost else []),
        ]
        yield f"| `{role.name}` | {role.summary} | {', '.join(marks)} |"
    yield from ("", "Beside the operations of every service:", "")
    yield from _table(service.manager_class, own, seen)


def _operations(
    name: str, cls: type, found: dict[str, Operation], seen: dict[str, Any]
) -> Iterator[str]:
    summary = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
    yield from (f"## {name}", "", summary, "")
    yield from _table(cls, found, seen)


def _table(cls: type, found: dict[str, Operation], seen: dict[str, Any]) -> Iterator[str]:
    if not found:
        yield from ("(none)", "")
        return
    yield from ("| operation | arguments | states | returns |", "|---|---|---|---|")
    for operation in found.values():
        arguments = "<br>".join(_parameter(p) for p in operation.parameters)
        returns = _result(operation, seen)
        hidden = " *(no command)*" if operation.hidden and cls is not ManagerDesk else ""
        yield (
            f"| **{operation.name}**<br>{cell(operation.summary)}{hidden} | {arguments} "
            f"| {_states(operation)} | {returns} |"
        )
    yield ""


def _parameter(parameter: Parameter) -> str:
    extras = get_args(parameter.hint.full)[1:]
    per_role = next((extra for extra in extras if isinstance(extra, PerRole)), None)
    told = per_role.help.format(role="<role>") if per_role else parameter.hint.help
    checks = "".join(f" ({check.says})" for check in parameter.hint.checks)
    default = "" if parameter.required else f" = `{shown(parameter.default)}`"
    text = f"`{parameter.name}`: {spell(parameter.hint.type)}{default}. {cell(told + checks)}"
    return text.removesuffix(". ")


def _states(operation: Operation) -> str:
    allowed = ", ".join(operation.states)
    if operation.reads:
        return f"{allowed} *(reads)*".strip()
    if operation.meanwhile is None:
        return allowed
    then = operation.then or "as before"
    otherwise = operation.otherwise or "as before"
    return f"{allowed}<br>{operation.meanwhile} → {then} ({otherwise})".removeprefix("<br>")


def _result(operation: Operation, seen: dict[str, Any]) -> str:
    _note_records(operation.result, seen)
    result = spell(operation.result)
    if not operation.is_job:
        return result
    marks = [
        *([_after_a_crash(operation)] if operation.resumes else []),
        *(["takes precedence"] if operation.preempts else []),
        *(["costs credit"] if operation.costs else []),
    ]
    return f"job: {result}" + (f"<br>*{', '.join(marks)}*" if marks else "")


def _after_a_crash(operation: Operation) -> str:
    # Its file is gone by then.
    return "ends in order after a crash" if operation.upload else "resumes after a crash"


def _note_records(hint: Any, seen: dict[str, Any]) -> None:
    hint = Hint.of(hint).type
    if (
        isinstance(hint, type)
        and dataclasses.is_dataclass(hint)
        and hint not in (Upload, Download)
    ):
        seen[hint.__name__] = hint
        for inner in get_type_hints(hint, include_extras=True).values():
            _note_records(inner, seen)
    for argument in get_args(hint):
        if not isinstance(argument, str):
            _note_records(argument, seen)


def _record(name: str, cls: Any) -> Iterator[str]:
    yield from (f"## {name}", "", prose(inspect.cleandoc(cls.__doc__ or "")), "")
    hints = get_type_hints(cls, include_extras=True)
    fields = (f"`{f.name}: {type_name(hints[f.name])}`" for f in dataclasses.fields(cls))
    yield from (", ".join(fields), "")
