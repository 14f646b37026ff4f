"""The manager's part of monitoring: what its charts are, and what they show just now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from conpaas.agent.base import ServiceAgent
from conpaas.features.monitoring.charts import MACHINES, Chart, Line, Ratio
from conpaas.manager.tools import ManagerTools
from conpaas.rpc import expose
from conpaas.schema import Option

A = TypeVar("A", bound=ServiceAgent)
MOST_MINUTES = 60  #: as long as figures are kept
MOST_POINTS = 120  #: of a line
_SILENT = 3.0  #: rounds without an answer after which it is said of a node

Minutes = Annotated[
    int,
    "Of how many minutes, until now",
    Option(short="-m"),
    msgspec.Meta(ge=1, le=MOST_MINUTES),
]

Points = Annotated[
    int, "Of how many points a line consists, at most", msgspec.Meta(ge=2, le=MOST_POINTS)
]


@dataclass(frozen=True)
class Figure:
    """A row of ``get_metrics``: a line of a chart; None is not known."""

    chart: str
    line: str
    now: float | None
    average: float | None
    highest: float | None
    unit: str


@dataclass(frozen=True)
class Point:
    """A row of ``get_series``: what a line was in the time before ``time``; None: not known."""

    chart: str
    line: str
    unit: str
    time: str
    value: float | None


@dataclass(frozen=True)
class ChartLine:
    """A line as it is drawn; None where nothing is known."""

    name: str
    values: list[float | None]


@dataclass(frozen=True)
class DrawnChart:
    """A chart as it is drawn."""

    title: str
    unit: str
    at_least: float
    lines: list[ChartLine]


@dataclass(frozen=True)
class SilentNode:
    """A node without figures: since when, in seconds since 1970; None: since it is there."""

    node: str
    since: float | None


@dataclass(frozen=True)
class Charts:
    """All charts of a service.

    ``begin`` is in seconds since 1970; value number n of a line is the mean of the ``step``
    seconds from ``begin + n * step``.
    """

    begin: float
    step: float
    count: int
    charts: list[DrawnChart]
    silent: list[SilentNode]


class MonitoringManager(ManagerTools[A]):
    """Tells what the nodes of a service measure."""

    def charts(self) -> tuple[Chart, ...]:
        """Return what is worth a chart; the default: each node's processor and memory."""
        return MACHINES

    def kept_metrics(self) -> frozenset[str]:
        """Return the names of metrics that ``self.place.samples`` holds beside those of charts."""
        return frozenset()

    @expose(reads=True)
    def get_metrics(self, minutes: Minutes = 10) -> list[Figure]:
        """Show what the nodes measure: now, and over the last minutes."""
        return [
            Figure(
                chart.title,
                line.name,
                _rounded(_last(line.values)),
                _rounded(_mean(line.values)),
                _rounded(max((v for v in line.values if v is not None), default=None)),
                chart.unit,
            )
            for chart in self.get_charts(minutes).charts
            for line in chart.lines
        ]

    @expose(reads=True)
    def get_series(self, minutes: Minutes = 10) -> list[Point]:
        """Show what the nodes have measured over time, a row for each point: for programs."""
        found = self.get_charts(minutes)
        return [
            Point(chart.title, line.name, chart.unit, when, _rounded(value))
            for chart in found.charts
            for line in chart.lines
            for when, value in zip(_times(found), line.values, strict=True)
        ]

    @expose(reads=True, hidden=True)
    def get_charts(self, minutes: Minutes = 10, points: Points = MOST_POINTS) -> Charts:
        """Return the charts as pages draw them."""
        grid, figures = self.place.samples.last(minutes * 60.0, points)
        charts = [
            DrawnChart(
                chart.title,
                chart.unit,
                float(chart.at_least),
                [
                    ChartLine(_name(chart, line, key), values)
                    for line in chart.lines
                    for key, values in sorted(figures.line(line).items(), key=_natural)
                ],
            )
            for chart in self.charts()
        ]
        return Charts(grid.begin, grid.step, grid.count, charts, list(self._silent()))

    def _silent(self) -> Iterator[SilentNode]:
        """Tell which nodes that should answer have not for a while."""
        kept = self.place.samples
        heard = kept.heard()
        for node in [*self.nodes, *self.place.nodes.lost()]:
            since = heard.get(node.id)
            if since is None or kept.now() - since > _SILENT * kept.every:
                yield SilentNode(node.id, since)


def _name(chart: Chart, line: Line | Ratio, key: str) -> str:
    if not line.by:
        return line.label or chart.title
    return " ".join(word for word in (line.label, key or "none") if word)


def _natural(item: tuple[str, object]) -> list[tuple[int, str]]:
    """Sort node-9 before node-10."""
    parts = item[0].split("-")
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _times(charts: Charts) -> list[str]:
    return [
        dt.datetime.fromtimestamp(charts.begin + (number + 1) * charts.step, dt.UTC).isoformat()
        for number in range(charts.count)
    ]


def _last(values: Sequence[float | None]) -> float | None:
    """Return what is now: of the last two, since the last may have just begun."""
    return next((v for v in reversed(values[-2:]) if v is not None), None)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _rounded(value: float | None) -> float | None:
    """Leave out what only looks exact."""
    return None if value is None else float(f"{value:.4g}")
