"""The result of an operation, as a page shows it when nothing better is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from conpaas.frontend.looks import in_words
from conpaas.rpc import Operation
from conpaas.schema import Hint, to_json

#: Columns whose values have a look of their own.
STATES = ("state", "status", "outcome")
TIMES = ("time", "created", "finished", "expires", "last_used")


@dataclass(frozen=True)
class Shown:
    """A result: ``kind`` is table, record, text, value or nothing."""

    kind: str
    columns: tuple[str, ...] = ()
    rows: list[list[Any]] = field(default_factory=list)
    text: str = ""


def shown(operation: Operation, result: Any) -> Shown:
    """Return how the result of an operation, as JSON brought it, is shown."""
    if result is None or result == "":
        return Shown("nothing")
    if isinstance(result, list):
        return _table(operation, result)
    if isinstance(result, dict):
        return Shown("record", ("", ""), [[in_words(k), _plain(v)] for k, v in result.items()])
    if isinstance(result, str) and "\n" in result:
        return Shown("text", text=result)
    return Shown("value", text=_plain(result))


def sentence(operation: Operation, arguments: Mapping[str, Any], result: Any) -> str:
    """Return what is said when an operation went well."""
    fields = result if isinstance(result, dict) else {}
    texts = {k: v for k, v in arguments.items() if isinstance(v, str | int | float)}
    known = _Named({"result": result} | texts | fields)
    if operation.done:
        return operation.done.format_map(known)
    return f"{in_words(operation.name)}: done."


def note(result: Any) -> str:
    """Return what a result says beside its sentence, in its field ``note``, or nothing."""
    return str(result.get("note") or "") if isinstance(result, dict) else ""


def _table(operation: Operation, result: list[Any]) -> Shown:
    if not result:
        return Shown("nothing")
    if not isinstance(result[0], dict):
        return Shown("table", ("",), [[_plain(one)] for one in result])
    columns = _columns(operation) or tuple(result[0])
    return Shown("table", columns, [[_plain(row.get(c)) for c in columns] for row in result])


def _columns(operation: Operation) -> tuple[str, ...]:
    hint = Hint.of(operation.result).inner
    if get_origin(hint) in (list, tuple, set, frozenset):
        row = Hint.of(get_args(hint)[0]).inner
        if dataclasses.is_dataclass(row):
            return tuple(one.name for one in dataclasses.fields(row))
    return ()


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return ", ".join(str(one) for one in value)
    return str(to_json(value))


class _Named(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return f"<{name}>"
