"""What a manager keeps of the figures of its nodes: the last hour, finer when it is younger.

It is in memory, for answering, and in an SQLite file of its own, for a manager that comes back.
That file is not handed to the director: figures are not worth it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conpaas.records import Records

KEPT = 3600.0  #: seconds
FINE = 660.0  #: seconds, within which every round is kept: more than charts usually show
COARSE = 30.0  #: seconds: of older ones, one round in each of these
_TIDY_EVERY = 100  #: rounds between two looks for layouts that nothing refers to
logger = logging.getLogger(__name__)

#: A series of a node: the name of the sample, and its labels, sorted.
Series = tuple[str, tuple[tuple[str, str], ...]]
#: What the values of a sample stand for; the same object for the same contents.
Layout = tuple[Series, ...]

_STEPS = (
    """
    CREATE TABLE round (id INTEGER PRIMARY KEY, time REAL NOT NULL);
    CREATE TABLE layout (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE sample (
        round INTEGER NOT NULL REFERENCES round ON DELETE CASCADE,
        node TEXT NOT NULL, service INTEGER NOT NULL, role TEXT NOT NULL,
        layout INTEGER NOT NULL, figures BLOB NOT NULL,
        PRIMARY KEY (round, node)
    ) WITHOUT ROWID;
    """,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one node said in one round; ``values`` are in the order of ``layout``."""

    node: str
    service: int
    role: str
    layout: Layout
    values: array[float]


@dataclass(frozen=True, slots=True)
class Round:
    """What nodes said at one time, in seconds since 1970; who did not answer is not there."""

    number: int
    time: float
    samples: dict[str, Sample]


class Samples:
    """The rounds of the last hour, oldest first.

    Args:
        path: Of the file; None keeps them in memory only.  One that is broken is begun anew.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._layouts: dict[Layout, Layout] = {}
        self._numbers: dict[Layout, int] = {}
        self._records = _open(path)
        self._rounds = self._load()
        self._next = max((one.number for one in self._rounds), default=0) + 1

    def layout(self, series: Iterable[Series]) -> Layout:
        """Return a layout, the same object for the same series."""
        found = tuple(series)
        with self._lock:
            return self._layouts.setdefault(found, found)

    def add(self, time: float, samples: Iterable[Sample]) -> None:
        """Add a round, and forget what is too old.

        What was noted for a later time goes: the clock has been put back.

        Raises:
            sqlite3.Error: It is not in the file; it is kept in memory all the same.
        """
        with self._lock:
            added = Round(self._next, time, {sample.node: sample for sample in samples})
            self._next += 1
            before = [one for one in self._rounds if one.time < time]
            kept = [*_thinned(before, time), added]
            gone = {one.number for one in self._rounds} - {one.number for one in kept}
            self._rounds = kept
            try:
                self._write(added, gone)
            except BaseException:
                self._numbers.clear()  # those given meanwhile are not in the file
                raise

    def rounds(self, service: int, since: float) -> list[Round]:
        """Return the rounds from a time on, with the samples of one service."""
        with self._lock:
            return [
                Round(
                    one.number,
                    one.time,
                    {node: s for node, s in one.samples.items() if s.service == service},
                )
                for one in self._rounds
                if one.time >= since
            ]

    def numbers(self) -> set[int]:
        """Return the numbers of all rounds that are kept."""
        with self._lock:
            return {one.number for one in self._rounds}

    def forget(self, service: int) -> None:
        """Forget what the nodes of a service said."""
        with self._lock:
            for one in self._rounds:
                for sample in [s for s in one.samples.values() if s.service == service]:
                    del one.samples[sample.node]
            self._records.execute("DELETE FROM sample WHERE service = ?", service)

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _load(self) -> list[Round]:
        layouts: dict[int, Layout] = {}
        for row in self._records.execute("SELECT * FROM layout"):
            found: Layout = tuple(
                (name, tuple((key, value) for key, value in labels))
                for name, labels in json.loads(row["text"])
            )
            layouts[row["id"]] = self._layouts.setdefault(found, found)
            self._numbers[found] = row["id"]
        rounds = {
            row["id"]: Round(row["id"], row["time"], {})
            for row in self._records.execute("SELECT * FROM round ORDER BY time")
        }
        for row in self._records.execute("SELECT * FROM sample"):
            values = array("d")
            values.frombytes(row["figures"])
            rounds[row["round"]].samples[row["node"]] = Sample(
                row["node"], row["service"], row["role"], layouts[row["layout"]], values
            )
        return list(rounds.values())

    def _write(self, added: Round, gone: set[int]) -> None:
        with self._records.transaction():
            for number in gone:
                self._records.execute("DELETE FROM round WHERE id = ?", number)
            self._records.execute("INSERT INTO round VALUES (?, ?)", added.number, added.time)
            for sample in added.samples.values():
                self._records.execute(
                    "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?)",
                    added.number,
                    sample.node,
                    sample.service,
                    sample.role,
                    self._number(sample.layout),
                    sample.values.tobytes(),
                )
            if added.number % _TIDY_EVERY == 0:
                self._tidy()

    def _number(self, layout: Layout) -> int:
        if layout not in self._numbers:
            text = json.dumps(layout)
            self._records.execute(
                "INSERT INTO layout (text) VALUES (?) ON CONFLICT DO NOTHING", text
            )
            (row,) = self._records.execute("SELECT id FROM layout WHERE text = ?", text)
            self._numbers[layout] = row["id"]
        return self._numbers[layout]

    def _tidy(self) -> None:
        """Forget layouts that no sample has any more."""
        self._records.execute(
            "DELETE FROM layout WHERE id NOT IN (SELECT DISTINCT layout FROM sample)"
        )
        there = {row["id"] for row in self._records.execute("SELECT id FROM layout")}
        self._numbers = {key: value for key, value in self._numbers.items() if value in there}
        self._layouts = {key: key for key in self._numbers}


def _thinned(rounds: Sequence[Round], now: float) -> list[Round]:
    kept: list[Round] = []
    last = None
    for one in rounds:
        age = now - one.time
        place = one.time // COARSE
        if age > KEPT or (age > FINE and place == last):
            continue
        last = place
        kept.append(one)
    return kept


def _open(path: Path | None) -> Records:
    try:
        records = Records(path, _STEPS)
    except (sqlite3.DatabaseError, RuntimeError) as error:
        if path is None:
            raise
        logger.warning("the figures in %s cannot be read and are begun anew: %s", path, error)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        records = Records(path, _STEPS)
    # The file survives that the process is killed; when the machine dies, so does its history.
    records.execute("PRAGMA synchronous = NORMAL")
    return records
