"""The formats of other programs, as cliff writes them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.value import ValueFormatter
from cliff.formatters.yaml_format import YAMLFormatter

#: What cliff's formatters look for among the arguments of a command.
_OPTIONS = argparse.Namespace(quote_mode="minimal")


def emit(style: str, result: Any, columns: list[str]) -> None:
    """Write a result to stdout as ``yaml``, ``csv`` or ``value``."""
    many = isinstance(result, list)
    rows = [_row(one, columns) for one in (result if many else [result])]
    names = columns or ["result"]
    if style == "csv":
        CSVLister().emit_list(names, rows, sys.stdout, _OPTIONS)
        return
    formatter = YAMLFormatter() if style == "yaml" else ValueFormatter()
    if many:
        formatter.emit_list(names, rows, sys.stdout, _OPTIONS)
    else:
        formatter.emit_one(names, rows[0], sys.stdout, _OPTIONS)


def _row(value: Any, columns: list[str]) -> list[Any]:
    return [value.get(name) for name in columns] if isinstance(value, dict) else [value]
