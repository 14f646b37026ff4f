"""What a manager or an agent must not forget: a small SQLite file, safe to be killed at any time.

Only the director has an object-relational mapper: these two keep a handful of tables, and start
faster and smaller without one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The tables that managers and agents share; each step is applied once, in order, for ever.
SHARED_STEPS = (
    """
    CREATE TABLE store (
        scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (scope, key)
    );
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL, operation TEXT NOT NULL, arguments TEXT NOT NULL,
        user TEXT NOT NULL, state TEXT NOT NULL, before TEXT,
        percent INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
        memo TEXT NOT NULL DEFAULT '{}', result TEXT, error TEXT,
        created REAL NOT NULL, finished REAL
    );
    CREATE INDEX job_state ON job (state);
    """,
)
#: What came later; it stands after the steps that a server had of its own by then.
MORE_SHARED_STEPS = ("ALTER TABLE job ADD COLUMN steps TEXT NOT NULL DEFAULT '[]';",)


class Records:
    """One SQLite file, shared by the threads of one process.

    Args:
        path: Of the file; None keeps everything in memory.
        steps: The scripts that make its tables; the file remembers how many it has had.
    """

    def __init__(
        self, path: Path | None, steps: Sequence[str] = (*SHARED_STEPS, *MORE_SHARED_STEPS)
    ) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        if path is not None:
            # Services keep passwords in their store.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        # Autocommit: transactions are begun and ended here, never by the module's guesses.
        self._connection = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        try:
            self._migrate(steps)
        except BaseException:
            self._connection.close()
            raise

    def _migrate(self, steps: Sequence[str]) -> None:
        (done,) = self._connection.execute("PRAGMA user_version").fetchone()
        if done > len(steps):
            raise RuntimeError(f"these records were made by a newer version ({done} steps)")
        for number, script in enumerate(steps[done:], done + 1):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
            )

    def execute(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def insert(self, sql: str, *values: Any) -> int:
        """Run an INSERT and return the number that the row got."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change: all of it is kept, or nothing."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def snapshot(self) -> bytes:
        """Return the whole file as it is now; :meth:`restore` takes it."""
        with self._lock:
            copy = sqlite3.connect(":memory:")
            try:
                self._connection.backup(copy)
                return bytes(copy.serialize())
            finally:
                copy.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


class Store(MutableMapping[str, Any]):
    """A persisted dictionary of JSON values.

    A value is written when it is assigned; changing it in place is not noticed.
    """

    def __init__(self, records: Records, scope: str) -> None:
        self._records = records
        self._scope = scope

    def __getitem__(self, key: str) -> Any:
        """Return a value."""
        rows = self._records.execute(
            "SELECT value FROM store WHERE scope = ? AND key = ?", self._scope, key
        )
        if not rows:
            raise KeyError(key)
        return json.loads(rows[0]["value"])

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._records.execute(
            "INSERT INTO store VALUES (?, ?, ?) "
            "ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
            self._scope,
            key,
            json.dumps(value),
        )

    def __delitem__(self, key: str) -> None:
        """Forget a value."""
        self[key]
        self._records.execute("DELETE FROM store WHERE scope = ? AND key = ?", self._scope, key)

    def __iter__(self) -> Iterator[str]:
        """Go through the keys, sorted."""
        rows = self._records.execute(
            "SELECT key FROM store WHERE scope = ? ORDER BY key", self._scope
        )
        return iter([row["key"] for row in rows])

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(list(iter(self)))
