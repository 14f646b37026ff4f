"""The panel of the scripts: what runs where, and the buttons that run and interrupt them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conpaas.frontend.service_view import ServiceView
from conpaas.scripts.runs import NEVER_STARTED
from conpaas.service import Panel
from conpaas_generic.manager import ScriptStatus
from conpaas_generic.scripts import SCRIPTS

RUNNING = "RUNNING"
UNKNOWN = "N/A"


@dataclass(frozen=True)
class Led:
    """How the status of a script looks: colour and shape, a word, and the whole status."""

    colour: str
    shape: str
    word: str
    status: str


@dataclass(frozen=True)
class Button:
    """A button of the bar; ``why_not`` is empty when it can be pressed."""

    operation: str
    label: str
    why_not: str
    dangerous: bool = False


def led(status: str) -> Led:
    """Return how the status of a script looks."""
    if status == RUNNING:
        return Led("passing", "passing", "running", "running now")
    if status == NEVER_STARTED:
        return Led("new", "new", "never run", "this version's script was never run")
    if status == UNKNOWN:
        return Led("unknown", "unknown", "unknown", "the node's agent does not answer")
    word = status.removeprefix("STOPPED (return code ").removesuffix(")")
    if word != status:
        return Led("bad", "still", f"ended ({word})", f"ended with return code {word}")
    return Led("bad", "still", status.lower(), status)


def buttons(service: ServiceView, rows: Sequence[ScriptStatus]) -> list[Button]:
    """Return the bar: what can be done now, and why the rest cannot."""
    running = {script for row in rows for script in SCRIPTS if getattr(row, script) == RUNNING}
    told = ", ".join(f"{script}.sh" for script in SCRIPTS if script in running)
    killing = "interrupt" in running

    def state(operation: str) -> str:
        allowed = service.allows(operation)
        return "" if allowed else f"not while the service is {service.state}"

    busy = f"not while {told} runs" if running else ""
    idle = "" if running else "nothing runs"
    return [
        Button("run", "Run", state("run") or busy),
        Button(
            "interrupt",
            "Kill" if killing else "Interrupt",
            state("interrupt") or idle,
            dangerous=killing,
        ),
        Button("cleanup", "Cleanup", state("cleanup") or busy),
    ]


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a generic service."""
    if service.info.type != "generic" or not service.is_reachable:
        return []
    rows: Sequence[ScriptStatus] = service.manager.get_script_status()
    bar = buttons(service, rows)
    parameters = service.form("run", mark="scripts").fields[0]
    return [
        Panel(
            title="Scripts",
            template="generic/scripts.html",
            values={
                "rows": [
                    (row, [(script, led(getattr(row, script))) for script in SCRIPTS])
                    for row in rows
                ],
                "scripts": SCRIPTS,
                "bar": bar,
                "parameters": parameters,
                "killing": any(button.dangerous for button in bar),
                "reasons": _reasons(bar),
            },
            operations=("run", "interrupt", "cleanup", "get_script_status"),
            busy=any(getattr(row, script) == RUNNING for row in rows for script in SCRIPTS),
            order=-10,
        )
    ]


def _reasons(bar: Sequence[Button]) -> str:
    """Return in words what cannot be done now, and why."""
    why: dict[str, list[str]] = {}
    for button in bar:
        if button.why_not:
            why.setdefault(button.why_not, []).append(button.label)
    return "; ".join(f"{' and '.join(labels)}: {reason}" for reason, labels in why.items())
