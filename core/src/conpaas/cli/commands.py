"""What the hook ``conpaas_commands`` is given: where hand-written commands are added."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from conpaas.cli.shapes import Command
from conpaas.errors import PluginError

if TYPE_CHECKING:
    from cliff.command import Command as CliffCommand


class Commands:
    """Collects hand-written commands: classes of cliff's, at the top level of a module.

    Derive them from :class:`conpaas.cli.written.WrittenCommand`: their ``self.app.director`` is
    the :class:`~conpaas.cli.call.Director` to call, ``self.app.settings`` the configuration.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Command] = {}

    def add(self, name: str, written: type[CliffCommand] | str) -> None:
        """Add a command.

        Args:
            name: As it is typed, ``"object operation"``.
            written: The class, or ``"module:class"`` (then only the command line needs cliff).

        Raises:
            PluginError: It is not such a class, or the name is taken.
        """
        words = name.split()
        if len(words) != 2:
            raise PluginError(f"the command {name!r} must be called '<object> <operation>'")
        where = written if isinstance(written, str) else _where(written)
        if (words[0], words[1]) in self.found:
            raise PluginError(f"the command {name!r} is taken")
        self.found[words[0], words[1]] = _described(words[0], words[1], where)


def load(where: str) -> type[CliffCommand]:
    """Return the class that stands at ``"module:class"``."""
    module, _, name = where.partition(":")
    try:
        found: type[CliffCommand] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"the command {where!r} cannot be loaded: {error}") from error
    return found


def _where(written: type[Any]) -> str:
    if "." in written.__qualname__:
        raise PluginError(f"{written.__qualname__} must stand at the top level of its module")
    return f"{written.__module__}:{written.__qualname__}"


def _described(object_name: str, operation: str, where: str) -> Command:
    # Made without an application: it is only asked which options it has.
    written: Any = load(where)
    parser = written(None, None).get_parser(f"cps-tools {object_name} {operation}")
    summary, _, rest = (parser.description or "").strip().partition("\n")
    return Command(
        object=object_name,
        operation=operation,
        summary=summary,
        description=rest.strip(),
        path="",
        of_service=False,
        arguments=[],
        preset={},
        where={},
        nodes="",
        result="value",
        columns=(),
        times=(),
        is_job=False,
        reads=False,
        done="",
        confirm="",
        follow="",
        public=False,
        prints=False,
        written=where,
        words=tuple(flag for action in parser._actions for flag in action.option_strings),
    )
