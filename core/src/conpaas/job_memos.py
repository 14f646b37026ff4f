"""What jobs note of their decisions, to take them in the same way after a crash."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable
from typing import Any, TypeVar

from conpaas.records import Records

T = TypeVar("T")


class JobMemos(abc.ABC):
    """Keeps notes with the job that this thread runs.

    Args:
        records: Where the ``job`` table is.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    @abc.abstractmethod
    def present(self) -> int | None:
        """Return the number of the job that this thread runs, None when it runs none."""

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """Return what the present job decided under ``key``, after a crash too.

        Outside a job it is decided anew each time.
        """
        if (number := self.present()) is None:
            return make()
        memo = self._memo(number)
        if key not in memo:
            memo[key] = make()
            self._keep(number, memo)
        value: T = memo[key]
        return value

    def recall(self, key: str) -> Any:
        """Return what the present job decided under ``key``, None when nothing yet."""
        number = self.present()
        return None if number is None else self._memo(number).get(key)

    def forget(self, key: str) -> None:
        """Have the present job decide anew what it has decided under ``key``."""
        if (number := self.present()) is None:
            return
        memo = self._memo(number)
        if memo.pop(key, None) is not None:
            self._keep(number, memo)

    def remembered(self, key: str) -> list[Any]:
        """Return what jobs that have not ended decided under ``key``, or it and more words."""
        rows = self._records.execute("SELECT memo FROM job WHERE state = 'running'")
        pairs = [pair for row in rows for pair in json.loads(row["memo"]).items()]
        return [value for found, value in pairs if f"{found} ".startswith(f"{key} ")]

    def _memo(self, number: int) -> dict[str, Any]:
        rows = self._records.execute("SELECT memo FROM job WHERE id = ?", number)
        memo: dict[str, Any] = json.loads(rows[0]["memo"])
        return memo

    def _keep(self, number: int, memo: dict[str, Any]) -> None:
        self._records.execute("UPDATE job SET memo = ? WHERE id = ?", json.dumps(memo), number)
