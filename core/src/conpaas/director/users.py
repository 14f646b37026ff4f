"""Users: who is calling, their passwords and addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import peewee

from conpaas.director.models import Certificate, Token, User, database
from conpaas.errors import InvalidError, NotFoundError

MIN_PASSWORD = 8


@dataclass(frozen=True)
class Caller:
    """Who is calling: a user, the manager of an application on its owner's behalf, or nobody.

    Attributes:
        user: Number of the user; 0 is nobody, who may call what is public.
        username: Of the user.
        admin: Whether it is an administrator.
        application: Of the manager that calls; None for users.
        scope: ``all``, or ``read`` for a token that may change nothing.
        token: Number of the token or session; None when something else was shown.
        address: Where the call comes from.
        via: ``password``, ``token``, ``session`` or ``certificate``; empty for the director.
    """

    user: int
    username: str
    admin: bool = False
    application: int | None = None
    scope: str = "all"
    token: int | None = None
    address: str = ""
    via: str = ""

    @property
    def is_manager(self) -> bool:
        """Whether it is an application's manager."""
        return self.application is not None


def email_key(email: str) -> str | None:
    """Return an e-mail address as it is compared, None for none."""
    return email.lower() or None


def email_is_taken(email: str, but_by: int = 0) -> bool:
    """Whether another user than ``but_by`` has an e-mail address."""
    found = User.get_or_none(User.email_key == email_key(email)) if email else None
    return found is not None and found.id != but_by


def set_email(user: int, email: str) -> None:
    """Change a user's e-mail address.

    Raises:
        InvalidError: Another user has it.
    """
    try:
        with database.atomic():
            User.update(email=email, email_key=email_key(email)).where(User.id == user).execute()
    except peewee.IntegrityError:
        raise email_taken(email) from None


def email_taken(email: str) -> InvalidError:
    """Return the error of somebody who wants another user's e-mail address."""
    return InvalidError(f"the e-mail address {email!r} belongs to another user already")


def hash_password(password: str) -> str:
    """Return the argon2 hash of a password.

    Raises:
        InvalidError: It is too short or too long.
    """
    from argon2 import PasswordHasher

    if len(password) < MIN_PASSWORD or len(password) > 1024:
        raise InvalidError(f"a password must have {MIN_PASSWORD} to 1024 characters")
    return str(PasswordHasher().hash(password))


def is_password(digest: str, password: str) -> bool:
    """Whether a password is the one of a hash; takes as long either way."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return bool(PasswordHasher().verify(digest, password))
    except (VerificationError, InvalidHashError):
        return False


def change_password(
    user: User, password: str, *, keep: int | None = None, clock: Callable[[], float] = time.time
) -> None:
    """Change a user's password; what he logs in with otherwise ends.

    Args:
        user: As read before: one whose password has been changed since is left alone.
        password: The new one.
        keep: Number of a token or session that goes on.
        clock: Seconds since 1970.

    Raises:
        InvalidError: The password cannot be used, or was changed at the same time.
    """
    digest = hash_password(password)
    with database.atomic():
        changed = (
            User.update(password=digest)
            .where(User.id == user.id, User.password == user.password)
            .execute()
        )
        if not changed:
            raise InvalidError("the password has just been changed by another call")
        ended = Token.user == user.id
        if keep is not None:
            ended &= Token.id != keep
        Token.delete().where(ended).execute()
        revoke_certificates(user.id, clock())


def revoke_certificates(user: int, now: float) -> None:
    """Revoke every certificate of a user (those of his managers are theirs)."""
    Certificate.update(revoked=now).where(
        Certificate.user == user, Certificate.revoked.is_null()
    ).execute()


def set_password(username: str, password: str, clock: Callable[[], float] = time.time) -> None:
    """Change a user's password; all sessions, tokens and certificates end.

    Raises:
        NotFoundError: There is no such user.
    """
    user = User.get_or_none(User.username == username)
    if user is None:
        raise NotFoundError(f"there is no user {username[:60]!r}")
    change_password(user, password, clock=clock)


def new_token(user: int, name: str) -> str:
    """Make an API token that does not expire and return it; it cannot be shown again."""
    from conpaas.director.tokens import issue

    return issue(user, name)
