"""What a password may be."""

from __future__ import annotations

from typing import Annotated

from conpaas.schema import Check, Option

LEAST, MOST = 8, 80  #: characters
RULE = f"{LEAST} to {MOST} characters, all of them visible or blanks"


def complaint(password: str) -> str | None:
    """Return what is wrong with a password, in words that follow "password", or None."""
    if len(password) < LEAST:
        return f"is too short: it must have {RULE}"
    if len(password) > MOST:
        return f"is too long: it must have {RULE}"
    if not password.isprintable():
        return f"has a character that cannot be seen: it must have {RULE}"
    return None


NewPassword = Annotated[
    str,
    f"The new password ({RULE}); asked for when it is missing",
    Option("-p", secret=True, positional=False),
    Check(complaint, RULE),
]
