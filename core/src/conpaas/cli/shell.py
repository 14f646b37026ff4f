"""Type commands one after the other, in one process: ``cps-tools shell``."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable

from conpaas.cli.complete import offered
from conpaas.cli.index import Index

_PROMPT = "cps> "


def interact(index: Index, run: Callable[[list[str]], object]) -> None:
    """Have run what is typed, line by line, until ``exit`` or the end of the input.

    Args:
        index: The commands that can be completed.
        run: Runs the words of a line, and tells what is wrong with them.
    """
    if sys.stdin.isatty():
        _complete_with(index)
        print("Type <object> <operation> [arguments], help, or exit.")
    while True:
        try:
            line = input(_PROMPT if sys.stdin.isatty() else "")
            words = shlex.split(line, comments=True)
        except EOFError:
            break
        except KeyboardInterrupt:
            print()
            continue
        except ValueError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            continue
        if words[:1] in (["exit"], ["quit"]):
            break
        if words and words[0] != "shell":
            run(words)


def _complete_with(index: Index) -> None:
    with contextlib.suppress(ImportError):
        import readline

        def completed(text: str, number: int) -> str | None:
            before = readline.get_line_buffer()[: readline.get_begidx()].split()
            path = tuple(word for word in before if word[:1] != "-")
            found = [word for word in offered(index, path) if word.startswith(text)]
            return f"{found[number]} " if number < len(found) else None

        readline.set_completer(completed)
        readline.set_completer_delims(" \t\n")
        readline.parse_and_bind("tab: complete")
