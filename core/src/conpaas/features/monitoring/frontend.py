"""The panel of charts: the last minutes of what the nodes of a service measure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from conpaas.features.monitoring.drawing import Drawn, draw, select, short
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel
from conpaas.state import State
from conpaas.svg import COLOURS

MINUTES = 10  #: that the page shows
POINTS = 60  #: of a line: every 10 s
#: States in which there are figures, or will be in a moment.
_MEASURED = (State.RUNNING, State.ADAPTING)


@dataclass(frozen=True)
class Row:
    """A line as the table and the legend tell of it; ``colour`` is None when it is not drawn."""

    name: str
    now: str
    average: str
    highest: str
    colour: int | None


@dataclass(frozen=True)
class Shown:
    """A chart as the page shows it; ``picture`` is empty when nothing is known."""

    title: str
    unit: str
    picture: Markup
    rows: list[Row]
    hidden: int  #: lines that are only in the table


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that runs."""
    if not service.has("get_metrics") or service.state not in _MEASURED:
        return []
    told = service.manager.get_charts(minutes=MINUTES, points=POINTS)
    return [
        Panel(
            title="Charts",
            template="monitoring/charts.html",
            values={
                "charts": [_shown(chart) for chart in told.charts if chart.lines],
                "silent": [
                    (one.node, _moment(one.since) if one.since else None) for one in told.silent
                ],
                "minutes": MINUTES,
            },
            operations=("get_metrics", "get_series"),
            live=True,
            order=5,
        )
    ]


def _shown(chart: Any) -> Shown:
    lines: list[Drawn] = [
        (line.name, tuple(_exact(v) for v in line.values)) for line in chart.lines
    ]
    drawn = [line for line in select(lines) if any(v is not None for v in line[1])]
    colours = {name: number for number, (name, _) in enumerate(drawn)}
    rows = [_row(name, values, colours.get(name)) for name, values in lines]
    now = ", ".join(f"{row.name} {row.now}" for row in rows[:COLOURS])
    label = f"{chart.title} in {chart.unit}, the last {MINUTES} minutes; now: {now}"
    picture = draw(tuple(drawn), MINUTES, chart.at_least, label) if drawn else Markup()
    return Shown(chart.title, chart.unit, picture, rows, len(lines) - len(drawn))


def _row(name: str, values: tuple[float | None, ...], colour: int | None) -> Row:
    there = [value for value in values if value is not None]
    now = next((value for value in reversed(values[-2:]) if value is not None), None)
    return Row(
        name=name,
        now="-" if now is None else short(now),
        average=short(sum(there) / len(there)) if there else "-",
        highest=short(max(there)) if there else "-",
        colour=colour,
    )


def _exact(value: float | None) -> float | None:
    """Leave out what cannot be seen, so that equal charts are recognised."""
    return None if value is None else float(f"{value:.3g}")


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")
