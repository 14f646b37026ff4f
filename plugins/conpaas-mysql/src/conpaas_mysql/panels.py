"""The panels of a database: how to reach it, how its nodes are doing, settings, dumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conpaas.errors import WrongStateError
from conpaas.features.monitoring.drawing import short
from conpaas.frontend.service_view import ServiceView
from conpaas.frontend.settings import settings_form
from conpaas.service import Panel
from conpaas.state import State
from conpaas_mysql.passwords import RULE
from conpaas_mysql.settings import CHARACTER_SETS

#: States in which nodes are measured.
_MEASURED = (State.RUNNING, State.ADAPTING)
#: Figures of the performance monitor: the field, its title, and its unit.
COLUMNS = (
    ("cpu", "CPU", "%"),
    ("memory", "Memory", "%"),
    ("disk", "Disk", "%"),
    ("network_in", "Network in", "kB/s"),
    ("network_out", "Network out", "kB/s"),
    ("queries", "Queries", "per s"),
    ("connections", "Connections", ""),
    ("queue", "Queue", "writes"),
)


@dataclass(frozen=True)
class Cell:
    """A figure as the table shows it."""

    title: str
    text: str
    is_abnormal: bool


@dataclass(frozen=True)
class Row:
    """A node as the table shows it."""

    role: str
    address: str
    node: str
    state: str
    is_bad: bool
    cells: list[Cell]
    abnormal: tuple[str, ...]


def panels(service: ServiceView) -> list[Panel]:
    """Return the panels of a database; nothing for other services."""
    if not service.has("set_mysql_config") or not service.is_reachable:
        return []
    found = [_access(service)]
    if service.state in _MEASURED:
        found.append(_performance(service))
    if service.has("load_dump"):
        found.append(_dumps(service))
    found.append(_settings(service))
    return found


def _access(service: ServiceView) -> Panel:
    try:
        address = service.manager.get_address()
    except WrongStateError:
        address = None
    operations, password = ["get_address"], None
    if service.has("set_password"):
        operations.append("set_password")
        if service.allows("set_password"):
            password = service.form("set_password", mark="password", submit="Set the password")
            for one in password.fields:
                again = one.name.endswith(".again")
                one.label = "New password again" if again else "New password"
                one.help = "" if again else RULE
    return Panel(
        title="Access",
        template="mysql/access.html",
        values={"address": address, "password": password},
        operations=tuple(operations),
        order=-20,
    )


def _performance(service: ServiceView) -> Panel:
    return Panel(
        title="Performance monitor",
        template="mysql/performance.html",
        values={
            "columns": [(title, unit) for _, title, unit in COLUMNS],
            "rows": [_row(one) for one in service.manager.get_performance()],
        },
        operations=("get_performance",),
        live=True,
        # Right below the charts, which belong to it.
        order=6,
    )


def _row(one: Any) -> Row:
    return Row(
        role=one.role,
        address=one.address,
        node=one.node,
        state=one.state,
        is_bad="state" in one.marked,
        cells=[
            Cell(f"{title} {unit}".strip(), _figure(getattr(one, name), unit), name in one.marked)
            for name, title, unit in COLUMNS
        ],
        abnormal=tuple(one.abnormal),
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if unit == "%" else short(value)


def _dumps(service: ServiceView) -> Panel:
    load = service.form("load_dump", mark="dump", submit="Load it")
    for one in load.fields:
        if one.kind == "file":
            one.label, one.help = "Dump", ""
    return Panel(
        title="Dumps",
        template="mysql/dumps.html",
        values={
            "load": load,
            "may_load": service.allows("load_dump"),
            "may_dump": service.has("dump") and service.allows("dump"),
            "limit": service.manager.get_mysql_config().dump_limit,
        },
        operations=("dump", "load_dump"),
        order=22,
    )


def _settings(service: ServiceView) -> Panel:
    settings = settings_form(
        service,
        "set_mysql_config",
        "get_mysql_config",
        choices={"character_set": tuple(CHARACTER_SETS)},
    )
    for one in settings.fields:
        # The list says what can be chosen.
        one.help = one.help.partition(" (utf8mb4")[0]
    return Panel(
        title="Database settings",
        template="mysql/settings.html",
        values={
            "settings": settings,
            "allowed": service.allows("set_mysql_config"),
        },
        operations=("get_mysql_config", "set_mysql_config"),
        order=24,
    )
