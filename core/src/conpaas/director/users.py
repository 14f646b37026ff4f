"""Users: passwords, tokens, and who is calling."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass

import peewee

from conpaas.certificates import Identity, Role, Verifier
from conpaas.director.models import Token, User
from conpaas.director.prepared import Prepared
from conpaas.errors import DeniedError, InvalidError, NotFoundError, UnauthenticatedError
from conpaas.gate import verified
from conpaas.names import Username
from conpaas.schema import from_json
from conpaas.web import Request

MIN_PASSWORD = 8
#: Whose a token is: part of every call.
_OWNER = Prepared(
    lambda digest: (
        User.select(User.id, User.username, User.admin).join(Token).where(Token.digest == digest)
    )
)


@dataclass(frozen=True)
class Caller:
    """Who is calling: a user, or the manager of an application on its owner's behalf."""

    user: int
    username: str
    admin: bool = False
    application: int | None = None

    @property
    def is_manager(self) -> bool:
        """Whether it is an application's manager."""
        return self.application is not None


def add_user(username: str, password: str, email: str = "", admin: bool = False) -> User:
    """Create a user.

    Raises:
        InvalidError: The name or the password cannot be used, or the name is taken.
    """
    from_json(username, Username, "username")
    digest = hash_password(password)
    try:
        created: User = User.create(username=username, password=digest, email=email, admin=admin)
    except peewee.IntegrityError:
        raise InvalidError(f"the username {username!r} is taken") from None
    return created


def set_password(username: str, password: str) -> None:
    """Change a user's password; all tokens end.

    Raises:
        NotFoundError: There is no such user.
    """
    digest = hash_password(password)
    user = User.get_or_none(User.username == username)
    if user is None:
        raise NotFoundError(f"there is no user {username[:60]!r}")
    with user._meta.database.atomic():
        User.update(password=digest).where(User.id == user.id).execute()
        Token.delete().where(Token.user == user.id).execute()


def hash_password(password: str) -> str:
    """Return the argon2 hash of a password."""
    from argon2 import PasswordHasher

    if len(password) < MIN_PASSWORD or len(password) > 1024:
        raise InvalidError(f"a password must have {MIN_PASSWORD} to 1024 characters")
    return str(PasswordHasher().hash(password))


def new_token(user: int, name: str) -> str:
    """Make an API token and return it; it cannot be shown again."""
    value = f"cps_{secrets.token_urlsafe(32)}"
    Token.create(user=user, name=name[:64], digest=_digest(value))
    return value


class Authentication:
    """Tells who is calling, from a token, a certificate or a password."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._decoy: str | None = None

    def caller(self, req: Request) -> Caller:
        """Return who is calling.

        Raises:
            UnauthenticatedError: Nobody known is; says what to do.
            DeniedError: It is no user and no manager.
        """
        kind, _, value = (req.get_header("Authorization") or "").partition(" ")
        if kind.lower() == "bearer":
            return self._by_token(value.strip())
        if kind.lower() == "basic":
            return self._by_password(value.strip())
        if kind:
            raise UnauthenticatedError(f"the authorization scheme {kind[:20]!r} is not known here")
        if (found := verified(req, self._verifier)) is not None:
            return self._by_identity(found.identity)
        raise UnauthenticatedError(
            "log in: give a token, a certificate (cps-user get_certificate) or a password"
        )

    def _by_token(self, value: str) -> Caller:
        found = _OWNER.rows(_digest(value))
        if not found:
            raise UnauthenticatedError("the token is not valid (any more)")
        user, username, admin = found[0]
        return Caller(user, username, bool(admin))

    def _by_password(self, value: str) -> Caller:
        from argon2 import PasswordHasher
        from argon2.exceptions import VerificationError

        try:
            username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise UnauthenticatedError("the Authorization header is malformed") from None
        user = User.get_or_none(User.username == username)
        if self._decoy is None:
            self._decoy = hash_password(secrets.token_hex())
        try:
            # An unknown user costs as much time as a wrong password.
            PasswordHasher().verify(user.password if user else self._decoy, password)
        except VerificationError:
            user = None
        if user is None:
            raise UnauthenticatedError("the username or the password is wrong")
        return Caller(user.id, user.username, user.admin)

    def _by_identity(self, identity: Identity) -> Caller:
        if identity.role not in (Role.USER, Role.MANAGER):
            raise DeniedError(f"the certificate of {identity} does not open this door")
        user = User.get_or_none(User.id == (identity.owner or 0))
        if user is None:
            raise UnauthenticatedError("the certificate's owner does not exist any more")
        if identity.role is Role.USER:
            return Caller(user.id, user.username, user.admin)
        return Caller(user.id, user.username, False, identity.application)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
