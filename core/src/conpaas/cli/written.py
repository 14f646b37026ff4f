"""Run a hand-written command: one of cliff's classes, inside a cliff application."""

from __future__ import annotations

import sys
from typing import Any

from cliff.app import App
from cliff.command import Command
from cliff.commandmanager import CommandManager

from conpaas.cli import config
from conpaas.cli.call import Director
from conpaas.cli.commands import load
from conpaas.cli.failure import Failure, Usage
from conpaas.cli.index import Index
from conpaas.cli.parser import global_flag, take_global
from conpaas.cli.shapes import Command as Described


class _Manager(CommandManager):
    def load_commands(self, namespace: str) -> None:
        """Look for nothing: what there is stands in the index."""


class WrittenApp(App):
    """What a running command finds as ``self.app``."""

    def __init__(self, command: Described, program: str, version: str, settings: Any) -> None:
        manager = _Manager("conpaas.commands", convert_underscores=False)
        manager.add_command(command["operation"], load(command["written"]))
        super().__init__("ConPaaS", version, manager)
        self.NAME = program
        self.settings: config.Settings = settings
        self._director: Director | None = None

    @property
    def director(self) -> Director:
        """The director to call, as the person whom the settings name."""
        if self._director is None:
            self._director = Director(self.settings)
        return self._director

    def close(self) -> None:
        """Let the connection to the director go."""
        if self._director is not None:
            self._director.close()


class WrittenCommand(Command):
    """A hand-written command, which finds the director at ``self.app.director``."""

    app: WrittenApp


def run_written(
    command: Described,
    program: str,
    index: Index,
    words: list[str],
    options: dict[str, str],
    asked_for_help: bool,
) -> None:
    """Run a hand-written command.

    Raises:
        Failure: It failed.
    """
    words = _without_globals(words, command["words"], options)
    if asked_for_help or "help" in options:
        words = ["--help"]
    settings = config.read(options)
    app = WrittenApp(command, program, index.version, settings)
    found, name, rest = app.command_manager.find_command([command["operation"], *words])
    one = found(app, None, cmd_name=name)
    full_name = f"{program} {name}"
    try:
        code = one.run(one.get_parser(full_name).parse_args(rest))
    except SystemExit as end:
        # argparse has printed the help, or what is wrong.
        if end.code:
            raise Usage(f"see {full_name} --help") from None
        return
    finally:
        app.close()
    if code:
        sys.stdout.flush()
        raise Failure(f"{full_name} ended with {code}")


def _without_globals(words: list[str], own: tuple[str, ...], options: dict[str, str]) -> list[str]:
    rest: list[str] = []
    at = 0
    while at < len(words):
        if words[at] == "--":
            return rest + words[at:]
        if global_flag(words[at]) and (words[at] not in own or words[at] in ("-h", "--help")):
            at += take_global(words, at, options)
        else:
            rest.append(words[at])
            at += 1
    return rest
