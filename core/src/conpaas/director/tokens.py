"""Tokens: what programs and sessions of the frontend log in with."""

from __future__ import annotations

import hashlib
import secrets
import time

from conpaas.api import TokenInfo
from conpaas.director.models import Token, database
from conpaas.director.times import in_words, maybe_in_words
from conpaas.errors import InvalidError, NotFoundError

TOKEN, SESSION = "token", "session"
MAX_TOKENS = 100  #: of a user, of each kind
#: Seconds between two notes of when a token was used last: reading calls shall stay cheap.
NOTE_EVERY = 60.0


def digest(value: str) -> str:
    """Return what is kept of a secret that is random enough not to be guessed."""
    return hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()


def issue(
    user: int,
    name: str,
    *,
    kind: str = TOKEN,
    scope: str = "all",
    now: float | None = None,
    lifetime: float | None = None,
    address: str = "",
) -> str:
    """Make a token and return it; it cannot be shown again.

    Args:
        user: Whose.
        name: What it is for.
        kind: ``token`` or ``session``.
        scope: ``all`` or ``read``.
        now: Seconds since 1970; default: the present.
        lifetime: Seconds until it ends; None: it does not.
        address: Where it was asked for.
    """
    value = f"cps_{secrets.token_urlsafe(32)}"
    now = time.time() if now is None else now
    Token.create(
        user=user,
        name=name,
        digest=digest(value),
        kind=kind,
        scope=scope,
        created=now,
        expires=None if lifetime is None else now + lifetime,
        address=address[:64],
    )
    return value


def make_room(user: int, kind: str, now: float) -> None:
    """Forget what has expired, and the oldest sessions of one who has too many.

    Raises:
        InvalidError: There are too many tokens.
    """
    Token.delete().where(Token.user == user, Token.kind == kind, Token.expires <= now).execute()
    mine = Token.select(Token.id).where(Token.user == user, Token.kind == kind)
    numbers = [number for (number,) in mine.order_by(Token.id.desc()).tuples()]
    surplus = numbers[MAX_TOKENS - 1 :]
    if surplus and kind == TOKEN:
        raise InvalidError(
            f"you have {len(numbers)} tokens, and more than {MAX_TOKENS} are not kept: revoke "
            "those that are not needed (cps-user list_tokens)"
        )
    Token.delete().where(Token.id.in_(surplus)).execute()


def listing(user: int, current: int | None) -> tuple[TokenInfo, ...]:
    """Return a user's tokens and sessions, newest first."""
    rows = Token.select().where(Token.user == user).order_by(Token.id.desc())
    return tuple(
        TokenInfo(
            row.id,
            row.name,
            row.kind,
            row.scope,
            in_words(row.created),
            maybe_in_words(row.expires),
            maybe_in_words(row.last_used),
            row.address,
            row.id == current,
        )
        for row in rows
    )


def revoke(user: int, number: int) -> None:
    """End a token of a user.

    Raises:
        NotFoundError: He has none of that number.
    """
    with database.atomic():
        if not Token.delete().where(Token.user == user, Token.id == number).execute():
            raise NotFoundError(f"you have no token {number} (cps-user list_tokens)")


def end_sessions(user: int) -> None:
    """End all sessions of a user."""
    Token.delete().where(Token.user == user, Token.kind == SESSION).execute()
