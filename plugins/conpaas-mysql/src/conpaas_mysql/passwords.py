"""What a password may be."""

from __future__ import annotations

from typing import Annotated

from conpaas.schema import Check, Option

LEAST, MOST = 8, 80  #: characters
#: Programs do not agree on how others are sent: some write UTF-8, some Latin-1.
RULE = f"{LEAST} to {MOST} characters of ASCII: letters, digits, signs and blanks"


def complaint(password: str) -> str | None:
    """Return what is wrong with a password, in words that follow "password", or None."""
    if len(password) < LEAST:
        return f"is too short: it must have {RULE}"
    if len(password) > MOST:
        return f"is too long: it must have {RULE}"
    if not (password.isascii() and password.isprintable()):
        return f"has a character that it must not have: it must have {RULE}"
    return None


NewPassword = Annotated[
    str,
    f"The new password ({RULE})",
    Option("-p", secret=True, positional=False),
    Check(complaint, RULE),
]
