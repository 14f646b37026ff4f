"""Text for a terminal: what a server sent must not command it."""

from __future__ import annotations


def visible(text: str, keep: str = "") -> str:
    """Return ``text`` with everything that is not printable, except ``keep``, shown as an escape.

    That includes the characters that change the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in keep or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def fitting(text: str, columns: int) -> str:
    """Return as much of the beginning of ``text`` as fits."""
    while width(text) > columns:
        text = text[:-1]
    return text
