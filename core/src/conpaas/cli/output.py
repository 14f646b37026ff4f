"""Show results: tables in the manual's style, sentences, and the formats of other programs."""

from __future__ import annotations

import json
import sys

from conpaas.cli.failure import Usage
from conpaas.cli.visible import visible, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conpaas.cli.shapes import Command


def show(
    command: Command, result: Any, switches: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Print a result.

    Args:
        command: What was called.
        result: As the director answered it.
        switches: ``format`` and ``column``, where they were typed.
        arguments: Of the call, for the sentence that tells of it.
    """
    if command["where"] and isinstance(result, list):
        result = [row for row in result if row.items() >= command["where"].items()]
    style, wanted = switches.get("format", "table"), switches.get("column")
    columns = _columns(command, result, wanted, narrow=style == "table")
    if style == "json":
        shown = result if not wanted else _picked(result, columns)
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    elif style != "table":
        from conpaas.cli.formats import emit

        emit(style, result, columns)
    elif command["done"] and not wanted:
        print(_sentence(command["done"], arguments, result))
        if isinstance(result, dict) and result.get("note"):
            print(visible(f"Note: {result['note']}"))
    elif result is None:
        print("done.")
    elif isinstance(result, list):
        _show_list(command, result, columns)
    elif isinstance(result, dict):
        for name in columns:
            print(f"{visible(name)}: {_cell(name, result.get(name), command)}")
    else:
        _show_text(result if isinstance(result, str) else _cell("", result, command))


def table(columns: list[str], rows: list[list[Any]], texts: list[list[str]]) -> str:
    """Return a table: a header, a line of dashes, the rows; numbers stand to the right."""
    widths = [
        max([width(name), *(width(row[i]) for row in texts)]) for i, name in enumerate(columns)
    ]
    right = [
        any(_is_number(row[i]) for row in rows)
        and all(row[i] is None or _is_number(row[i]) for row in rows)
        for i in range(len(columns))
    ]

    def line(cells: list[str]) -> str:
        padded = [
            " " * (widths[i] - width(text)) + text
            if right[i]
            else text + " " * (widths[i] - width(text))
            for i, text in enumerate(cells)
        ]
        return " ".join(padded).rstrip()

    dashes = "-" * (sum(widths) + len(widths) - 1)
    return "\n".join([line(columns), dashes, *(line(row) for row in texts)])


def _columns(
    command: Command, result: Any, wanted: list[str] | None, *, narrow: bool
) -> list[str]:
    rows = result if isinstance(result, list) else [result]
    there = list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
    known = list(command["columns"])
    every = known + [name for name in there if name not in known]
    for name in wanted or ():
        if name not in every and every:
            from conpaas.nearest import did_you_mean

            raise Usage(f"there is no column {name!r}{did_you_mean(name, every)}")
    if wanted:
        return list(wanted)
    return known if known and narrow else every


def _picked(result: Any, columns: list[str]) -> Any:
    if isinstance(result, list):
        return [_picked(row, columns) for row in result]
    return {name: result.get(name) for name in columns} if isinstance(result, dict) else result


def _show_list(command: Command, result: list[Any], columns: list[str]) -> None:
    if not result:
        print(_nothing(command))
    elif not columns:
        for one in result:
            print(_cell("", one, command))
    else:
        rows = [[row.get(name) for name in columns] for row in result]
        texts = [
            [_cell(name, value, command) for name, value in zip(columns, row, strict=True)]
            for row in rows
        ]
        print(table([visible(name) for name in columns], rows, texts))


def _show_text(text: str) -> None:
    if sys.stdout.isatty():
        text = visible(text, keep="\n\t")
    sys.stdout.write(text if not text or text.endswith("\n") else f"{text}\n")


def _nothing(command: Command) -> str:
    verb, _, noun = command["operation"].partition("_")
    if verb == "list":
        what = noun or f"{'service' if command['preset'] else command['object']}s"
    else:
        what = noun or "results"
    return f"No existing {what.replace('_', ' ')}."


def _cell(name: str, value: Any, command: Command) -> str:
    if name in command["times"] and isinstance(value, int | float):
        from time import localtime, strftime

        return strftime("%Y-%m-%d %H:%M:%S", localtime(value)) if value else ""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return visible(", ".join(value))
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return visible(str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Named(dict[str, "Any"]):
    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def _sentence(done: str, arguments: dict[str, Any], result: Any) -> str:
    fields = result if isinstance(result, dict) else {}
    return visible(done.format_map(_Named({"result": result} | arguments | fields)))
