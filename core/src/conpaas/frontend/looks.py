"""How values look on a page: states, times, words."""

from __future__ import annotations

import datetime as dt
import functools
import time
from typing import Any

from markupsafe import Markup

#: What each word of a state looks like, whatever it is the state of: see ``static/style.css``.
_SHAPES = {
    "new": ("init", "queued", "wanted", "open", "never", "waiting"),
    "passing": (
        "prologue", "adapting", "epilogue", "running…", "booting", "joining", "leaving", "doomed",
        "creating", "deleting",
    ),
    "good": ("running", "ready", "ok", "done", "active", "used", "attached"),
    "still": (
        "stopped", "gone", "cancelled", "disabled", "expired", "revoked", "removed", "detached",
    ),
    "bad": ("error", "failed", "broken"),
    "unknown": ("unreachable", "lost", "interrupted", "unknown", "n/a"),
}  # fmt: skip
_SHAPE_OF = {word: shape for shape, words in _SHAPES.items() for word in words}


@functools.lru_cache(maxsize=512)
def state_mark(state: Any, passing: bool = False) -> Markup:
    """Return a state as it is shown, by colour, shape and word.

    ``passing``: it is at work (a job that runs).  Kept, for a page may show hundreds of
    them, and there are few different ones.
    """
    word = str(state)
    shape = "passing" if passing else _SHAPE_OF.get(word.lower(), "unknown")
    return Markup(
        '<span class="state state-{shape}">'
        '<span class="shape shape-{shape}" aria-hidden="true"></span>{word}</span>'
    ).format(shape=shape, word=word)


def in_words(name: str) -> str:
    """Return the name of an operation or an argument as a title: ``Add nodes``."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def said(reason: str) -> str:
    """Return the reason of a change, which begins with an operation's name, in words."""
    first, blank, rest = first_line(reason).partition(" ")
    return in_words(first) + blank + rest


def first_line(text: str) -> str:
    """Return the first line of a text, with a mark when there are more."""
    first, _, rest = text.partition("\n")
    return f"{first} …" if rest.strip() else first


def count(number: int, one: str, many: str = "") -> str:
    """Return a number of things in words: ``1 machine``, ``2 machines``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def moment(value: Any, now: float | None = None) -> Markup:
    """Return a time as how long ago it was, with the exact one behind it.

    Args:
        value: Seconds since 1970, or ISO 8601; None and what is neither stand as they are.
        now: Seconds since 1970; default: now.
    """
    seconds = _seconds(value)
    if seconds is None:
        return Markup("{}").format(value or "")
    exact = dt.datetime.fromtimestamp(seconds, dt.UTC)
    told = _ago((time.time() if now is None else now) - seconds, exact)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%Y-%m-%d %H:%M:%S"), told
    )


def seconds(value: float | None) -> str:
    """Return a duration: ``0.4 s``, ``12 s``, ``3 min``."""
    if value is None:
        return ""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    try:
        parsed = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()


def _ago(age: float, exact: dt.datetime) -> str:
    ahead, age = age < -1, abs(age)
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if age >= 30 * 86400:
            return exact.strftime("%Y-%m-%d")
        if age >= size:
            told = count(int(age // size), unit)
            return f"in {told}" if ahead else f"{told} ago"
    return "in a moment" if ahead else "just now"
