"""The nearest match for a name that somebody misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or ``; there are: …`` when nothing is near, or nothing."""
    names = sorted(known)
    lowered = {name.lower(): name for name in reversed(names)}
    if near := difflib.get_close_matches(given.lower(), lowered, n=1, cutoff=0.6):
        return f"; did you mean {lowered[near[0]]!r}?"
    if names and len(names) <= 12:
        return f"; there are: {', '.join(names)}"
    return ""
