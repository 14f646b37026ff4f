"""Questions to the database that are asked all the time, with their SQL written once.

peewee takes ten times as long to write a query as SQLite takes to answer it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import peewee

from conpaas.director.models import database

_HOLE = object()
M = TypeVar("M", bound=peewee.Model)


class Prepared:
    """A query with one value that differs each time; its rows are what the database holds.

    Args:
        build: Makes the query, given what stands for the value.
    """

    def __init__(self, build: Callable[[Any], peewee.Query]) -> None:
        self._build = build
        self._written: tuple[Any, str, list[Any]] = (None, "", [])

    def rows(self, value: Any) -> list[tuple[Any, ...]]:
        """Return the rows for a value."""
        present = database.obj
        written_for, sql, parameters = self._written
        if written_for is not present:
            sql, parameters = self._build(peewee.Value(_HOLE, converter=False)).sql()
            self._written = (present, sql, parameters)
        filled = [value if parameter is _HOLE else parameter for parameter in parameters]
        found: list[tuple[Any, ...]] = present.execute_sql(sql, filled).fetchall()
        return found

    def first(self, model: type[M], value: Any) -> M | None:
        """Return the first row for a value, None when there is none.

        Args:
            model: Of whose columns, all of them in their order, the query's rows consist.
            value: As for :meth:`rows`.
        """
        found = self.rows(value)
        if not found:
            return None
        columns = zip(model._meta.sorted_fields, found[0], strict=True)
        return model(**{field.name: field.python_value(value) for field, value in columns})
