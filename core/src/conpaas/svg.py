"""Charts that stand in a page: pygal's shapes, without a style or a script of their own.

Our pages let neither in, and colours come from the style sheet (decision 0024).
"""

from __future__ import annotations

import re
import sys
from typing import Any

from markupsafe import Markup

#: As many series have a colour of their own in the style sheet.
COLOURS = 6
_SVG = "{http://www.w3.org/2000/svg}"
#: What pygal adds for its own script and style.
_LEFT_OUT = {"style", "script", "defs", "desc", "title"}
_DIGITS = re.compile(r"(\d+\.\d)\d+")


def pygal() -> Any:
    """Return the library, imported when the first chart is drawn."""
    import pygal as found

    # It adds a finder of modules for maps, of a kind that Python warns of at every later import.
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != "pygal"]
    return found


def steps(highest: float) -> list[float]:
    """Return round numbers for an axis from 0: six at most, the last not above ``highest``."""
    step = next(
        s * 10.0**power
        for power in range(-6, 16)
        for s in (1, 2, 5)
        if highest / (s * 10.0**power) <= 5
    )
    count = int(highest / step + 1e-9)
    return [float(f"{number * step:.6g}") for number in range(count + 1)]


def strip(root: Any, label: str) -> None:
    """Take away what a page with a strict policy refuses, and say what the chart is."""
    for parent in list(root.iter()):
        for child in list(parent):
            name = str(child.tag).removeprefix(_SVG)
            if name in _LEFT_OUT or not isinstance(child.tag, str):
                parent.remove(child)
    for one in root.iter():
        one.attrib.pop("style", None)
    root.attrib.pop("id", None)
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-label", label)


def drop_empty(root: Any) -> None:
    """Take away groups with nothing in them."""
    for group in list(root.iter("g")):
        for empty in [one for one in group if one.tag == "g" and not len(one)]:
            group.remove(empty)


def render(chart: Any) -> Markup:
    """Return a chart as text; a tenth of a pixel is exact enough."""
    text = chart.render(is_unicode=True, disable_xml_declaration=True)
    # pygal escapes what it writes.
    return Markup(_DIGITS.sub(r"\1", text))  # noqa: S704
