"""The nearest match for a name that somebody misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the name that is nearest to a given one, None when none is near."""
    lowered = {name.lower(): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(given.lower(), lowered, n=1, cutoff=0.6)
    return lowered[near[0]] if near else None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or ``; there are: …`` when nothing is near, or nothing."""
    names = sorted(known)
    if near := nearest(given, names):
        return f"; did you mean {near!r}?"
    if names and len(names) <= 12:
        return f"; there are: {', '.join(names)}"
    return ""
