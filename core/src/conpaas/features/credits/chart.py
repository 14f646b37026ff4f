"""The chart of what was used: a bar for each day, a colour for each application."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from conpaas import svg
from conpaas.features.credits.api import CreditUse
from conpaas.svg import COLOURS

WIDTH, HEIGHT = 960, 260
OTHERS = "others"  #: share the last colour, when there are more than colours


def days_until(today: dt.date, count: int) -> list[str]:
    """Return that many days up to one, as ISO 8601."""
    return [(today - dt.timedelta(days=n)).isoformat() for n in reversed(range(count))]


def series(uses: Sequence[CreditUse], days: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return what each application used on each day, the hungriest first."""
    totals: dict[int, int] = {}
    names: dict[int, str] = {}
    for use in uses:
        totals[use.aid] = totals.get(use.aid, 0) + use.credits
        names.setdefault(use.aid, use.application)
    ranked = sorted(totals, key=lambda aid: (-totals[aid], aid))
    own = ranked if len(ranked) <= COLOURS else ranked[: COLOURS - 1]
    place = {aid: number for number, aid in enumerate(own)}
    found = [(names[aid], [0] * len(days)) for aid in own]
    if len(own) < len(ranked):
        found.append((OTHERS, [0] * len(days)))
    index = {day: number for number, day in enumerate(days)}
    for use in uses:
        if use.day in index:
            found[place.get(use.aid, len(found) - 1)][1][index[use.day]] += use.credits
    return found


def chart(found: Sequence[tuple[str, list[int]]], days: Sequence[str]) -> Markup:
    """Return the bars as SVG, to stand in a page: its colours come from the style sheet."""
    highest = max((sum(values) for values in zip(*(v for _, v in found), strict=True)), default=0)
    bars = svg.pygal().StackedBar(
        css=[], js=[], width=WIDTH, height=HEIGHT, show_legend=False, no_prefix=True, margin=0,
        margin_top=12, margin_bottom=20, margin_left=64, spacing=2, range=(0, max(highest, 4)),
        x_labels_major_every=7, show_minor_x_labels=False,
        truncate_label=-1, x_value_formatter=str, value_formatter=lambda value: f"{value:.0f}",
        y_labels=svg.steps(max(highest, 4)),
    )  # fmt: skip
    bars.x_labels = [day[5:] for day in days]
    for name, values in found:
        bars.add(name, [value or None for value in values])
    told = [
        f"{day}, {name}: {value}"
        for name, values in found
        for day, value in zip(days, values, strict=True)
        if value
    ]
    bars.add_xml_filter(lambda root: _clean(root, told))
    return svg.render(bars)


def _clean(root: Any, told: Sequence[str]) -> Any:
    """Take away what a page with a strict policy refuses, and say what each bar is."""
    svg.strip(root, "Credits used on each day; the table below has the numbers")
    words = iter(told)
    for place in list(root.iter("g")):
        for bar in list(place) if place.get("class") == "bar" else ():
            if float(bar.get("height", 0)) > 0:
                bar.set("class", "bar")
                ET.SubElement(bar, "title").text = next(words, "")
            else:
                place.remove(bar)
    svg.drop_empty(root)
    return root
