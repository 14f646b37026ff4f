"""Values in the language of PHP-FPM's configuration, so that they arrive as they are."""

from __future__ import annotations

from conpaas.errors import InvalidError


def quoted(value: str) -> str:
    """Return a value as its configuration file must have it.

    Between single quotes everything stands for itself but the quote, and there is no escape for
    that: it goes between double quotes, and the pieces are written side by side.

    Raises:
        InvalidError: It has a NUL, which no value can have.
    """
    if "\0" in value:
        raise InvalidError("a value cannot have a NUL character in it")
    pieces = [f"'{piece}'" if piece else "" for piece in value.split("'")]
    return '"\'"'.join(pieces) or "''"
