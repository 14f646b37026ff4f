"""From samples to the lines of a chart: what Prometheus computes, over a few nodes.

A counter's increase between two rounds is spread evenly over the time between them, and a counter
that has fallen has begun anew at 0.  A node that did not answer has no value for that time: what
is added up over nodes is added up over those that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from conpaas.features.monitoring.charts import NODE, ROLE, Gauge, Line, Quantile, Ratio
from conpaas.features.monitoring.samples import COARSE, Layout, Round, Sample

#: Rounds that may be missing between two that belong together, when the manager was busy.
_PATIENCE = 3.0
_LE = "le"
Values = list[float | None]
#: Which values count, and what for: (place in the layout, key).
_Chosen = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Grid:
    """Times that a line has values for: the means of ``count`` spans of ``step`` seconds."""

    begin: float
    step: float
    count: int

    def parts(self, begin: float, end: float) -> list[tuple[int, float]]:
        """Return which spans a time belongs to, and how many seconds of it to each."""
        first = max(0, math.floor((begin - self.begin) / self.step))
        last = min(self.count - 1, math.ceil((end - self.begin) / self.step) - 1)
        found = []
        for cell in range(first, last + 1):
            low = self.begin + cell * self.step
            seconds = min(end, low + self.step) - max(begin, low)
            if seconds > 0:
                found.append((cell, seconds))
        return found


class Figures:
    """Computes lines from rounds.

    Args:
        rounds: Of one service, oldest first.
        grid: The times to compute values for.
        every: Seconds between two rounds.
    """

    def __init__(self, rounds: Sequence[Round], grid: Grid, every: float) -> None:
        self._rounds = rounds
        self._grid = grid
        self._every = every

    def line(self, line: Line | Ratio) -> dict[str, Values]:
        """Return the values of a line, of each by what it is for; ``""`` is all together."""
        if isinstance(line, Ratio):
            return self._ratio(line)
        if isinstance(line, Quantile):
            return self._quantile(line)
        means = self._gauges(line) if isinstance(line, Gauge) else self._rates(line, _by(line))
        how = line.of if isinstance(line, Gauge) else "sum"
        return {
            key: [
                _times(_together(values, how), line.times) for values in zip(*nodes, strict=True)
            ]
            for key, nodes in means.items()
        }

    # -- the kinds of lines -------------------------------------------------------------------

    def _ratio(self, line: Ratio) -> dict[str, Values]:
        parts, wholes = self.line(line.part), self.line(line.whole)
        none: Values = [None] * self._grid.count
        return {
            key: [
                None if part is None or not whole else part / whole * line.times
                for part, whole in zip(
                    values, wholes.get(key if line.whole.by else "", none), strict=True
                )
            ]
            for key, values in parts.items()
        }

    def _quantile(self, line: Quantile) -> dict[str, Values]:
        own = _by(line)

        def key(sample: Sample, labels: Mapping[str, str]) -> str:
            return f"{labels.get(_LE, '')}\n{own(sample, labels)}"

        buckets: dict[str, list[tuple[float, Values]]] = {}
        for name, nodes in self._rates(line, key).items():
            text, _, whose = name.partition("\n")
            if (bound := _bound(text)) is None:
                continue
            total = [_together(values, "sum") for values in zip(*nodes, strict=True)]
            buckets.setdefault(whose, []).append((bound, total))
        return {
            whose: [
                _times(quantile(line.q, [(b, v[cell]) for b, v in found]), line.times)
                for cell in range(self._grid.count)
            ]
            for whose, found in buckets.items()
        }

    # -- means over the spans of the grid -----------------------------------------------------

    def _rates(
        self, line: Line, key: Callable[[Sample, Mapping[str, str]], str]
    ) -> dict[str, list[Values]]:
        """Return for each key the rates of each node."""
        means = _Means(self._grid)
        choice = _Choice(line, key)
        for before, now in self._pairs():
            parts = self._grid.parts(before.time, now.time)
            if not parts:
                continue
            seconds = now.time - before.time
            for node, sample in now.samples.items():
                earlier = before.samples.get(node)
                if earlier is None:
                    continue
                for what, increase in choice.increases(earlier, sample).items():
                    means.add(what, node, parts, increase / seconds)
        return means.by_key()

    def _gauges(self, line: Line) -> dict[str, list[Values]]:
        """Return for each key the means of each node."""
        means = _Means(self._grid)
        choice = _Choice(line, _by(line))
        before: Round | None = None
        for now in self._rounds:
            begin = now.time - self._every
            for node, sample in now.samples.items():
                # It was so since the round before, if the node answered then.
                since = begin
                if before is not None and node in before.samples and self._belong(before, now):
                    since = before.time
                parts = self._grid.parts(since, now.time)
                for what, value in choice.values(sample).items():
                    means.add(what, node, parts, value)
            before = now
        return means.by_key()

    def _pairs(self) -> Iterator[tuple[Round, Round]]:
        for before, now in zip(self._rounds, self._rounds[1:], strict=False):
            if self._belong(before, now):
                yield before, now

    def _belong(self, before: Round, now: Round) -> bool:
        """Whether a round follows another one, and not only after a long silence."""
        return now.time - before.time <= max(_PATIENCE * self._every, COARSE + self._every)


class _Choice:
    """Which values of a sample belong to a line; looked for once in each layout."""

    def __init__(self, line: Line, key: Callable[[Sample, Mapping[str, str]], str]) -> None:
        self._names = line.metrics
        self._where = dict(line.where)
        self._key = key
        self._chosen: dict[tuple[int, str, str], _Chosen] = {}
        self._moves: dict[tuple[int, int], list[int | None]] = {}

    def values(self, sample: Sample) -> dict[str, float]:
        found: dict[str, float] = {}
        for place, key in self._of(sample):
            found[key] = found.get(key, 0.0) + sample.values[place]
        return found

    def increases(self, earlier: Sample, sample: Sample) -> dict[str, float]:
        moves = self._moved(earlier.layout, sample.layout)
        found: dict[str, float] = {}
        for place, key in self._of(sample):
            value = sample.values[place]
            move = moves[place]
            if move is None:
                continue
            before = earlier.values[move] if move >= 0 else 0.0
            found[key] = found.get(key, 0.0) + (value - before if value >= before else value)
        return found

    def _of(self, sample: Sample) -> _Chosen:
        # By identity: equal layouts are the same object, and hashing long ones takes its time.
        known = (id(sample.layout), sample.node, sample.role)
        if known not in self._chosen:
            self._chosen[known] = [
                (place, self._key(sample, labels))
                for place, (name, pairs) in enumerate(sample.layout)
                if name in self._names and (labels := dict(pairs)).items() >= self._where.items()
            ]
        return self._chosen[known]

    def _moved(self, earlier: Layout, later: Layout) -> list[int | None]:
        """Return where each series of a layout was in an earlier one.

        One that is new beside others of its name was 0: it is made when it is first counted.  Of
        one whose name is new nobody knows how long it has counted.
        """
        known = (id(earlier), id(later))
        if known not in self._moves:
            places = {series: place for place, series in enumerate(earlier)}
            names = {name for name, _ in earlier}
            self._moves[known] = [
                places.get(series, -1 if series[0] in names else None) for series in later
            ]
        return self._moves[known]


class _Means:
    """Adds up values by the seconds that they were so, in each span, by key and node."""

    def __init__(self, grid: Grid) -> None:
        self._count = grid.count
        self._sums: dict[tuple[str, str], tuple[list[float], list[float]]] = {}

    def add(self, key: str, node: str, parts: Sequence[tuple[int, float]], value: float) -> None:
        found = self._sums.get((key, node))
        if found is None:
            found = self._sums[key, node] = ([0.0] * self._count, [0.0] * self._count)
        totals, covered = found
        for cell, seconds in parts:
            totals[cell] += value * seconds
            covered[cell] += seconds

    def by_key(self) -> dict[str, list[Values]]:
        found: dict[str, list[Values]] = {}
        for (key, _), (totals, covered) in self._sums.items():
            found.setdefault(key, []).append(
                [t / c if c else None for t, c in zip(totals, covered, strict=True)]
            )
        return found


def quantile(q: float, buckets: Sequence[tuple[float, float | None]]) -> float | None:
    """Return a quantile of what was observed, None when nothing was.

    Args:
        q: From 0 to 1.
        buckets: Upper bounds, ``inf`` among them, each with how much was observed up to it.

    As in Prometheus, values are spread evenly in a bucket, the lowest begins at 0 when its bound
    is above, and of the highest all that is known is where it begins.
    """
    there = sorted((bound, count) for bound, count in buckets if count is not None)
    if not there or not math.isinf(there[-1][0]) or there[-1][1] <= 0:
        return None
    wanted = q * there[-1][1]
    low, below = 0.0, 0.0
    for number, (bound, count) in enumerate(there):
        if math.isinf(bound):
            return low if number else None
        if number == 0 and bound <= 0:
            low = bound
        if count >= wanted and count > below:
            return low + (bound - low) * max(0.0, wanted - below) / (count - below)
        # Buckets were read one by one: a lower one may be ahead of the next.
        low, below = bound, max(below, count)
    return None


def _bound(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def _by(line: Line) -> Callable[[Sample, Mapping[str, str]], str]:
    if line.by == NODE:
        return lambda sample, labels: sample.node
    if line.by == ROLE:
        return lambda sample, labels: sample.role
    return lambda sample, labels: labels.get(line.by, "") if line.by else ""


def _together(values: Sequence[float | None], how: str) -> float | None:
    there = [value for value in values if value is not None]
    if not there:
        return None
    if how == "highest":
        return max(there)
    return sum(there) / (len(there) if how == "mean" else 1)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
