"""What holds for administrators: there is always one."""

from __future__ import annotations

from conpaas.director.models import User, database
from conpaas.errors import NotFoundError, WrongStateError
from conpaas.nearest import did_you_mean


def keep_one(user: int) -> None:
    """Make sure that there is an administrator without this user, in the present transaction.

    Raises:
        WrongStateError: There would be none.
    """
    rows = User.select(User.id).where(User.admin, ~User.disabled)
    if database.obj.for_update:
        # Of two administrators who demote each other at the same time, one waits here.
        rows = rows.for_update()
    numbers = {number for (number,) in rows.tuples()}
    if numbers == {user}:
        raise WrongStateError(
            "this is the only administrator: make another one first (cps-user set_admin)"
        )


def find_user(ref: str | int) -> User:
    """Return any user by name or id.

    Raises:
        NotFoundError: There is none.
    """
    text = str(ref)
    if text.isascii() and text.isdigit():
        found = User.get_or_none(User.id == int(text)) if len(text) < 18 else None
    else:
        found = User.get_or_none(User.username == text) if text.isprintable() else None
    if found is None:
        names = [name for (name,) in User.select(User.username).limit(1000).tuples()]
        raise NotFoundError(f"there is no user {text[:80]!r}{did_you_mean(text, names)}")
    return found
