"""What people may call their things."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from conpaas.schema import Check

MAX_NAME = 64
_PUNCTUATION = " ._-()&+,:#@"


def _name_complaint(name: str) -> str | None:
    if not name:
        return "must not be empty"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters: at most {MAX_NAME} are allowed"
    for character in name:
        if not (unicodedata.category(character)[0] in "LNM" or character in _PUNCTUATION):
            shown = character if character.isprintable() else f"U+{ord(character):04X}"
            return (
                f"must not contain {shown!r}: use letters, digits, blanks and {_PUNCTUATION[1:]}"
            )
    if unicodedata.category(name[0])[0] not in "LN":
        return "must begin with a letter or a digit"
    if name[-1] == " " or "  " in name:
        return "must not end with a blank or have two in a row"
    if name.isdigit():
        return "must not be a number: numbers are ids"
    return None


#: The name of an application or a service.
Name = Annotated[
    str,
    Check(
        _name_complaint,
        f"1 to {MAX_NAME} letters, digits, blanks and {_PUNCTUATION[1:]}, beginning with a letter "
        "or a digit, not a number",
    ),
]


def _user_complaint(name: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,31}", name):
        return (
            "must be 1 to 32 small letters, digits, dots, dashes and underscores, beginning with "
            "a letter"
        )
    return None


def is_username(name: str) -> bool:
    """Whether a user may have that name."""
    return _user_complaint(name) is None


#: The name that a user logs in with.
Username = Annotated[
    str, Check(_user_complaint, "1 to 32 of a-z 0-9 . _ -, beginning with a letter")
]


def _email_complaint(text: str) -> str | None:
    if re.fullmatch(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\W_]([\w.-]{0,200}[^\W_])?", text):
        return None
    return "must be an e-mail address, such as name@example.org"


#: An e-mail address.
EmailAddress = Annotated[str, Check(_email_complaint, "looks like name@example.org")]
#: An e-mail address, or nothing.
NoOrEmailAddress = Annotated[
    str,
    Check(
        lambda text: _email_complaint(text) if text else None,
        "looks like name@example.org, or is empty",
    ),
]
