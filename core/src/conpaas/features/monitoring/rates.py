"""From samples to the lines of a chart: what Prometheus computes, over a few nodes.

A counter's increase between two rounds is spread evenly over the time between them, and a counter
that has fallen has begun anew at 0.  A node that did not answer has no value for that time: what
is added up over nodes is added up over those that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from conpaas.features.monitoring.charts import NODE, ROLE, Gauge, Line, Quantile, Ratio
from conpaas.features.monitoring.samples import COARSE, Layout, Round, Sample

#: Rounds that may be missing between two that belong together, when the manager was busy.
_PATIENCE = 3.0
_LE = "le"
Values = list[float | None]
#: Which values count, and what for: (place in the layout, key).
_Chosen = Sequence[tuple[int, str]]
#: What a value of a sample counts for, by the sample and the value's labels.
Key = Callable[[Sample, Mapping[str, str]], str]
#: By the numbers of two rounds, and by what was computed of them: the values by key.
Memory = dict[tuple[int, int], dict[tuple[str, ...], dict[str, float]]]


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
        memory: Gets what was computed of two rounds, which stays true as long as they are kept.
    """

    def __init__(
        self, rounds: Sequence[Round], grid: Grid, every: float, memory: Memory | None = None
    ) -> None:
        self._rounds = rounds
        self._grid = grid
        self._every = every
        self._memory = {} if memory is None else memory

    def line(self, line: Line | Ratio) -> dict[str, Values]:
        """Return the values of a line, of each by what it is for; ``""`` is all together."""
        if isinstance(line, Ratio):
            return self._ratio(line)
        if isinstance(line, Quantile):
            return self._quantile(line)
        means = self._gauges(line) if isinstance(line, Gauge) else self._rates(line, _by(line))
        return {
            key: [_times(value, line.times) for value in values] for key, values in means.items()
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
        for name, values in self._rates(line, key).items():
            text, _, whose = name.partition("\n")
            if (bound := _bound(text)) is not None:
                buckets.setdefault(whose, []).append((bound, values))
        return {
            whose: [
                _times(quantile(line.q, [(b, v[cell]) for b, v in found]), line.times)
                for cell in range(self._grid.count)
            ]
            for whose, found in buckets.items()
        }

    # -- means over the spans of the grid -----------------------------------------------------

    def _rates(self, line: Line, key: Key) -> dict[str, Values]:
        """Return for each key the mean rates, added up over nodes."""
        choice = _Choice(line, key)

        def rates(before: Round, now: Round) -> dict[str, float]:
            found: dict[str, float] = {}
            for node, sample in now.samples.items():
                if (earlier := before.samples.get(node)) is not None:
                    choice.add_increases(earlier, sample, found)
            seconds = now.time - before.time
            return {what: increase / seconds for what, increase in found.items()}

        means = _Means(self._grid)
        for before, now in pairwise(self._rounds):
            if self._belong(before, now):
                means.add(before.time, now.time, self._of_two(line, before, now, rates))
        return means.by_key()

    def _gauges(self, line: Gauge) -> dict[str, Values]:
        """Return for each key the means of what all nodes said together."""
        choice = _Choice(line, _by(line))

        def together(before: Round, now: Round) -> dict[str, float]:
            found: dict[str, list[float]] = {}
            for sample in now.samples.values():
                for what, value in choice.values(sample).items():
                    found.setdefault(what, []).append(value)
            return {what: _together(values, line.of) for what, values in found.items()}

        means = _Means(self._grid)
        before: Round | None = None
        for now in self._rounds:
            # It was so since the round before, when there was one.
            follows = before is not None and self._belong(before, now)
            since = before.time if before is not None and follows else now.time - self._every
            means.add(since, now.time, self._of_two(line, now, now, together))
            before = now
        return means.by_key()

    def _of_two(
        self,
        line: Line,
        before: Round,
        now: Round,
        compute: Callable[[Round, Round], dict[str, float]],
    ) -> dict[str, float]:
        known = self._memory.setdefault((before.number, now.number), {})
        of = line.of if isinstance(line, Gauge) else ""
        what = (*sorted(line.metrics), line.by, str(sorted(line.where.items())), of)
        if what not in known:
            known[what] = compute(before, now)
        return known[what]

    def _belong(self, before: Round, now: Round) -> bool:
        """Whether a round follows another one, and not only after a long silence."""
        return now.time - before.time <= max(_PATIENCE * self._every, COARSE + self._every)


class _Choice:
    """Which values of a sample belong to a line; looked for once in each layout."""

    def __init__(self, line: Line, key: Key) -> None:
        self._names = line.metrics
        self._where = dict(line.where)
        self._key = key
        self._chosen: dict[tuple[int, str, str], _Chosen] = {}
        self._moves: dict[tuple[int, int], list[int | None]] = {}
        self._plans: dict[tuple[int, int, str, str], list[tuple[int, int, str]]] = {}

    def values(self, sample: Sample) -> dict[str, float]:
        found: dict[str, float] = {}
        for place, key in self._of(sample):
            found[key] = found.get(key, 0.0) + sample.values[place]
        return found

    def add_increases(self, earlier: Sample, sample: Sample, sums: dict[str, float]) -> None:
        """Add what the counters of a node have risen by to the sums of their keys."""
        known = (id(earlier.layout), id(sample.layout), sample.node, sample.role)
        if known not in self._plans:
            moves = self._moved(earlier.layout, sample.layout)
            self._plans[known] = [
                (place, move, key)
                for place, key in self._of(sample)
                if (move := moves[place]) is not None
            ]
        values, others = sample.values, earlier.values
        for place, move, key in self._plans[known]:
            value = values[place]
            before = others[move] if move >= 0 else 0.0
            sums[key] = sums.get(key, 0.0) + (value - before if value >= before else value)

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
    """Adds up values by the seconds that they were so, in each span."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._sums: dict[str, tuple[list[float], list[float]]] = {}

    def add(self, begin: float, end: float, values: Mapping[str, float]) -> None:
        parts = self._grid.parts(begin, end)
        if not parts:
            return
        for key, value in values.items():
            found = self._sums.get(key)
            if found is None:
                found = self._sums[key] = ([0.0] * self._grid.count, [0.0] * self._grid.count)
            totals, covered = found
            for cell, seconds in parts:
                totals[cell] += value * seconds
                covered[cell] += seconds

    def by_key(self) -> dict[str, Values]:
        return {
            key: [t / c if c else None for t, c in zip(totals, covered, strict=True)]
            for key, (totals, covered) in self._sums.items()
        }


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


def _by(line: Line) -> Key:
    if line.by == NODE:
        return lambda sample, labels: sample.node
    if line.by == ROLE:
        return lambda sample, labels: sample.role
    return lambda sample, labels: labels.get(line.by, "") if line.by else ""


def _together(values: Sequence[float], how: str) -> float:
    if how == "highest":
        return max(values)
    return sum(values) / (len(values) if how == "mean" else 1)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
