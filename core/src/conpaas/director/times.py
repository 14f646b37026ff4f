"""Times as people read them."""

from __future__ import annotations

import datetime as dt

from conpaas.errors import InvalidError


def in_words(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def maybe_in_words(seconds: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601, None for None."""
    return None if seconds is None else in_words(seconds)


def from_words(text: str, name: str) -> float:
    """Return ISO 8601 as seconds since 1970; without a zone it is UTC.

    Raises:
        InvalidError: It is no time; the text begins with ``name``.
    """
    try:
        when = dt.datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidError(
            f"{name}: {text[:40]!r} is not a time such as 2026-11-22 or 2026-11-22T18:30"
        ) from None
