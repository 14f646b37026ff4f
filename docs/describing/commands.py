"""The page of the command line."""

from __future__ import annotations

from collections.abc import Iterator

from conpaas.cli import help as command_help
from conpaas.cli.build import build
from conpaas.cli.index import Index
from conpaas.cli.parser import GLOBALS, SHORT_GLOBALS
from conpaas.cli.shapes import Argument, Command
from conpaas.plugins import Plugins
from describing.spelling import cell, prose


def commands_page(plugins: Plugins) -> Iterator[str]:
    """Return the page of the command line."""
    index = Index(*build(plugins))
    yield from (
        "# Commands",
        "",
        "`cps-tools <object> <operation>` and `cps-<object> <operation>` are the same. The exit",
        "code is 0 on success; what went wrong is told on stderr.",
        "",
        "| everywhere | |",
        "|---|---|",
    )
    for flag, (_, metavar, text) in GLOBALS.items():
        short = [f"`{s}`" for s, long in SHORT_GLOBALS.items() if long == flag]
        yield f"| {', '.join([*short, f'`{flag} {metavar}`'.replace(' `', '`')])} | {text} |"
    yield from ("", "| where it makes sense | |", "|---|---|")
    for one in _switches(index):
        yield f"| {_spelled(one)} | {cell(_explained(one))} |"
    yield ""
    for name, entry in index.objects.items():
        yield from (f"## {name}", "", entry["summary"], "")
        commands = index.commands(name)
        own = commands.values()
        if entry["is_type"]:
            general = index.commands("service")
            own = [one for one in own if one["operation"] not in general]  # type: ignore[assignment]
            yield from (
                f"And every operation of [service](#service), as in `cps-{name} start`.",
                "",
            )
        for command in own:
            yield from _command(command)


def _command(command: Command) -> Iterator[str]:
    if command["written"]:
        yield from (f"### {command['object']} {command['operation']}", "")
        yield from (command["summary"], "")
        return
    program = f"cps-tools {command['object']}"
    yield from (
        f"### {command['object']} {command['operation']}",
        "",
        f"`{command_help.usage(command, program)}`",
        "",
        command["summary"],
        "",
    )
    if command["description"]:
        yield from (prose(command["description"]), "")
    own = [one for one in command["arguments"] if one["group"] != "switch"]
    if own:
        yield from ("| argument | |", "|---|---|")
        yield from (f"| {_spelled(one)} | {cell(_explained(one))} |" for one in own)
        yield ""
    if command["confirm"]:
        yield from (f"At a terminal it asks first: {command['confirm']}", "")


def _switches(index: Index) -> list[Argument]:
    """Return the options that are about the command line itself, with all their flags."""
    found: dict[str, Argument] = {}
    for name in index.objects:
        for command in index.commands(name).values():
            for one in command["arguments"]:
                most = len(found[one["name"]]["flags"]) if one["name"] in found else 0
                if one["group"] == "switch" and len(one["flags"]) > most:
                    found[one["name"]] = one
    return list(found.values())


def _spelled(one: Argument) -> str:
    if not one["flags"]:
        return f"`<{one['metavar']}>`"
    value = "" if one["kind"] in ("on", "off") else f" {one['metavar']}"
    return ", ".join(f"`{flag}{value}`" for flag in one["flags"])


def _explained(one: Argument) -> str:
    text = one["help"]
    if one["choices"]:
        text += f": {', '.join(one['choices'])}"
    return text + (f"; default: {one['default']}" if one["default"] else "")
