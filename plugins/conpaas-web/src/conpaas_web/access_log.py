"""What a proxy's access log tells: how many requests there were, and how long they took.

The log is read on from where it was left, over rotations and restarts of the agent; what has been
counted is kept in a file beside it.
"""

from __future__ import annotations

import bisect
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conpaas import files

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Upper bounds of the histogram's buckets, in seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
#: A log that is larger is begun anew; so many older ones are kept.
ROTATE_AT = 16 << 20
KEPT = 3
_PIECE = 1 << 20


@dataclass
class Counts:
    """What has been counted.

    Args:
        classes: Requests by the class of their status.
        buckets: Requests by the first bound that they were not over; the last one has none.
        seconds: That all of them took together.
    """

    classes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, line: bytes) -> None:
        """Count a line; one that is no request is left out."""
        # Time, client, status and duration come first: nothing that a client sends is before them.
        fields = line.split(b" ", 4)
        try:
            status, seconds = int(fields[2]), float(fields[3])
        except (IndexError, ValueError):
            return
        name = f"{status // 100}xx"
        if name in self.classes:
            self.classes[name] += 1
            self.buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
            self.seconds += seconds


@dataclass(frozen=True)
class _Place:
    """How far a log was read: which file, and how many of its bytes."""

    inode: int
    offset: int


class AccessLog:
    """Counts the requests in a log that grows, and begins a new one when it is large.

    Args:
        path: Of the log.
        memory: Of the file that keeps what was counted.
        reopen: Tells its writer that its file has another name now.
        rotate_at: Bytes from which on it is large; default: :data:`ROTATE_AT`.
    """

    def __init__(
        self,
        path: Path,
        memory: Path,
        reopen: Callable[[], None],
        rotate_at: int | None = None,
    ) -> None:
        self.path = path
        self._rotate_at = rotate_at
        self._memory = memory
        self._reopen = reopen
        self._lock = threading.Lock()
        self._counts, self._place = self._remembered()

    def metrics(self) -> Iterator[Metric]:
        """Read on, and return all that was counted as Prometheus metrics."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        with self._lock:
            self._read_on()
            counts = self._counts
            requests = CounterMetricFamily(
                "conpaas_http_requests", "Requests that were answered.", labels=["code"]
            )
            for name in CLASSES:
                requests.add_metric([name], counts.classes[name])
            bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
            total, buckets = 0, []
            for bound, count in zip(bounds, counts.buckets, strict=True):
                total += count
                buckets.append((bound, float(total)))
            times = HistogramMetricFamily(
                "conpaas_http_request_duration_seconds",
                "Seconds from the first byte of a request to the last byte of its answer.",
                buckets=buckets,
                sum_value=counts.seconds,
            )
        yield requests
        yield times

    def rotate(self) -> bool:
        """Begin a new file if this one is large; return whether that was so."""
        with self._lock:
            self._read_on()
            if not rotate(self.path, self._reopen, self._rotate_at):
                return False
            self._read_on()
            return True

    def _read_on(self) -> None:
        before = self._place
        old = _find(self.path, before.inode) if before is not None else None
        if before is not None and old is not None and old != self.path:
            # It was renamed: first the rest of it.
            self._read(old, before.offset)
            self._place = None
        if self.path.is_file():
            inode = self.path.stat().st_ino
            place = self._place
            known = place is not None and place.inode == inode
            offset = place.offset if place is not None and known else 0
            if offset > self.path.stat().st_size:  # it was truncated
                offset = 0
            self._place = _Place(inode, self._read(self.path, offset))
        if self._place != before:
            self._remember()

    def _read(self, path: Path, offset: int) -> int:
        """Count the whole lines after a place; return where they end."""
        with path.open("rb") as file:
            file.seek(offset)
            rest = b""
            while piece := file.read(_PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._counts.add(line)
                offset = file.tell() - len(rest)
        return offset

    def _remember(self) -> None:
        place = asdict(self._place) if self._place is not None else None
        files.write(self._memory, json.dumps({"counts": asdict(self._counts), "place": place}))

    def _remembered(self) -> tuple[Counts, _Place | None]:
        try:
            kept = json.loads(self._memory.read_text())
            counts = Counts(**kept["counts"])
            place = _Place(**kept["place"]) if kept["place"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return Counts(), None  # counters may begin anew at any time
        fits = len(counts.buckets) == len(BUCKETS) + 1 and counts.classes.keys() == set(CLASSES)
        return (counts, place) if fits else (Counts(), None)


def rotate(path: Path, reopen: Callable[[], None], limit: int | None = None) -> bool:
    """Give a large log another name, ``<name>.1``, and have its writer begin a new one.

    Older ones become ``.2`` and so on; only :data:`KEPT` stay.

    Args:
        path: Of the log; none is fine.
        reopen: Tells the writer.
        limit: Bytes from which on it is large; default: :data:`ROTATE_AT`.

    Returns:
        Whether it was large.
    """
    try:
        if path.stat().st_size < (ROTATE_AT if limit is None else limit):
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT, 0, -1):
        older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    reopen()
    _await(path)
    return True


def _await(path: Path, seconds: float = 2.0) -> None:
    """Wait for the writer's new file; one that has nothing to write may make none."""
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def _find(path: Path, inode: int) -> Path | None:
    candidates: Iterable[Path] = (
        path,
        *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1)),
    )
    for candidate in candidates:
        try:
            if os.stat(candidate).st_ino == inode:
                return candidate
        except FileNotFoundError:
            continue
    return None
