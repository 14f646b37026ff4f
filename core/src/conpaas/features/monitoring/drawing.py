"""Draws a chart of figures: lines over the last minutes, with gaps where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from conpaas import svg

WIDTH, HEIGHT = 480, 170
_HEADROOM = 1.05  #: the axis reaches that much above the highest value
_LABELS = 5  #: spans between the labels of the time axis

#: A line: its name, and its values; None where nothing is known.
Drawn = tuple[str, tuple[float | None, ...]]


@lru_cache(maxsize=256)
def draw(lines: tuple[Drawn, ...], minutes: int, at_least: float, label: str) -> Markup:
    """Return lines as SVG, to stand in a page; equal ones are drawn once.

    Args:
        lines: As many as there are colours, at most, all of one length.
        minutes: Until now, that they show.
        at_least: The axis reaches at least that far.
        label: What a screen reader says.
    """
    values = [value for _, some in lines for value in some if value is not None]
    highest = max(at_least, max(values, default=0.0) * _HEADROOM)
    count = len(lines[0][1])
    chart = svg.pygal().Line(
        css=[], js=[], width=WIDTH, height=HEIGHT, show_legend=False, no_prefix=True, margin=0,
        margin_top=8, margin_bottom=2, margin_left=16, margin_right=16, show_dots=False,
        allow_interruptions=True, range=(0, highest), y_labels=svg.steps(highest),
        show_minor_x_labels=False,
        truncate_label=-1, value_formatter=short,
    )  # fmt: skip
    chart.x_labels = _times(count, minutes)
    chart.x_labels_major = [label for label in chart.x_labels if label]
    for name, some in lines:
        chart.add(name, some)
    chart.add_xml_filter(lambda root: _clean(root, label))
    return svg.render(chart)


def short(value: float) -> str:
    """Return a number as people read it: three digits, and 12.3 k rather than 12345."""
    for limit, factor, unit in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= limit:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def select(lines: Sequence[Drawn]) -> list[Drawn]:
    """Return the lines to draw: all, or the highest, in the order that they had."""
    if len(lines) <= svg.COLOURS:
        return list(lines)
    ranked = sorted(range(len(lines)), key=lambda n: -_mean(lines[n][1]))
    return [lines[number] for number in sorted(ranked[: svg.COLOURS])]


def _mean(values: Sequence[float | None]) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else -1.0


def _times(count: int, minutes: int) -> list[str]:
    """Return how long ago values were, for some of them, counted from the last."""
    labels = [""] * count
    for place in range(count - 1, -1, -max(1, count // _LABELS)):
        ago = round(minutes * (count - 1 - place) / count)
        labels[place] = f"-{ago} min" if ago else "now"
    return labels


def _clean(root: Any, label: str) -> Any:
    svg.strip(root, label)
    root.set("class", "chart small")
    for group in list(root.iter("g")):
        if str(group.get("class", "")).startswith("series"):
            for path in group:
                path.set("class", "curve")
    svg.drop_empty(root)
    svg.drop_empty(root)
    return root
