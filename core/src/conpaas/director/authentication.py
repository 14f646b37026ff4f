"""Who is calling: from a token, a session, a password or a certificate."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from typing import TYPE_CHECKING

from conpaas.certificates import Role, Verified
from conpaas.director import tokens
from conpaas.director.attempts import Attempts
from conpaas.director.models import Certificate, Token, User
from conpaas.director.prepared import Prepared
from conpaas.director.users import Caller, hash_password, is_password
from conpaas.errors import DeniedError, UnauthenticatedError
from conpaas.front import ADDRESS_HEADER, CLIENT_HEADER
from conpaas.gate import verified
from conpaas.web import Request

if TYPE_CHECKING:
    from conpaas.director.director import Director

#: Whose a token is, and whether it counts: part of every call.
_TOKEN = Prepared(
    lambda digest: (
        Token.select(
            User.id, User.username, User.admin, User.disabled, Token.id, Token.name, Token.kind,
            Token.scope, Token.created, Token.expires, Token.last_used,
        )
        .join(User)
        .where(Token.digest == digest)
    )
)  # fmt: skip
_USER = Prepared(
    lambda number: User.select(User.username, User.admin, User.disabled).where(User.id == number)
)
_REVOKED = Prepared(
    lambda serial: Certificate.select(Certificate.serial).where(
        Certificate.serial == serial, Certificate.revoked.is_null(False)
    )
)


class Authentication:
    """Tells who is calling.

    Args:
        director: Whose doors these are.
    """

    def __init__(self, director: Director) -> None:
        self._director = director
        self._attempts = Attempts(director.clock)
        self._decoy: str | None = None

    def caller(self, req: Request, action: str = "", *, disabled_too: bool = False) -> Caller:
        """Return who is calling.

        Args:
            req: The request.
            action: What is called, ``"application start"``: a wrong password is recorded with it.
            disabled_too: Let disabled users in: who deletes himself sees how far it is.

        Raises:
            UnauthenticatedError: Nobody known is; says what to do.
            DeniedError: It is a disabled user, or no user and no manager.
            TooManyError: There were too many wrong passwords before.
        """
        found, disabled = self._found(req, action)
        if disabled and not disabled_too:
            raise DeniedError(f"the account {found.username!r} is disabled: ask an administrator")
        return found

    def _found(self, req: Request, action: str) -> tuple[Caller, bool]:
        """Return who is calling, and whether he is disabled."""
        kind, _, value = (req.get_header("Authorization") or "").partition(" ")
        address = self._address(req)
        if kind.lower() == "bearer":
            return self._by_token(value.strip(), address)
        if kind.lower() == "basic":
            return self._by_password(value.strip(), address, action)
        if kind:
            raise UnauthenticatedError(f"the authorization scheme {kind[:20]!r} is not known here")
        if (shown := verified(req, self._director.verifier)) is not None:
            return self._by_certificate(shown, address)
        raise UnauthenticatedError(
            "log in: give a token, a certificate (cps-user get_certificate) or a password"
        )

    def anybody(self, req: Request) -> Caller:
        """Return the caller of what is public: nobody, whatever he shows."""
        return Caller(0, "", address=self._address(req))

    def _address(self, req: Request) -> str:
        """Return where a call comes from: the frontend tells for whom it calls."""
        told = req.get_header(CLIENT_HEADER)
        if told is not None:
            try:
                found = verified(req, self._director.verifier)
                if found is not None and found.identity.role is Role.FRONTEND:
                    return str(ipaddress.ip_address(told.strip()))
            except (UnauthenticatedError, ValueError):
                # Whatever it is, it is not the frontend's word for an address.
                pass
        return (req.get_header(ADDRESS_HEADER) or "")[:64]

    def _by_token(self, value: str, address: str) -> tuple[Caller, bool]:
        found = _TOKEN.rows(tokens.digest(value))
        if not found:
            raise UnauthenticatedError("the token is not valid (any more)")
        (
            user, username, admin, disabled, number, name, kind, scope, created, expires, used
        ) = found[0]  # fmt: skip
        now, idle = self._director.clock(), self._director.config.accounts.session_idle
        is_session = kind == tokens.SESSION
        if (expires is not None and now >= expires) or (
            is_session and now - (used or created) >= idle
        ):
            raise UnauthenticatedError(
                "the session has expired: log in again"
                if is_session
                else f"the token {name!r} has expired: make another (cps-user create_token)"
            )
        often = min(tokens.NOTE_EVERY, idle / 4) if is_session else tokens.NOTE_EVERY
        if used is None or now - used >= often:
            Token.update(last_used=now, address=address).where(Token.id == number).execute()
        caller = Caller(
            user, username, bool(admin), scope=scope, token=number, address=address, via=kind
        )
        return caller, bool(disabled)

    def _by_password(self, value: str, address: str, action: str) -> tuple[Caller, bool]:
        try:
            username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise UnauthenticatedError("the Authorization header is malformed") from None
        self._attempts.guess(username, address)
        user = User.get_or_none(User.username == username) if username.isprintable() else None
        if self._decoy is None:
            self._decoy = hash_password(secrets.token_hex())
        # An unknown user costs as much time as a wrong password.
        right = is_password(user.password if user else self._decoy, password)
        if user is None or not right:
            error = UnauthenticatedError("the username or the password is wrong")
            self._director.audit.refused_login(user, address, action, error)
            raise error
        self._attempts.guessed(username, address)
        caller = Caller(user.id, user.username, user.admin, address=address, via="password")
        return caller, bool(user.disabled)

    def _by_certificate(self, found: Verified, address: str) -> tuple[Caller, bool]:
        identity = found.identity
        if identity.role is Role.FRONTEND:
            raise UnauthenticatedError("log in: the frontend's certificate is nobody's")
        if identity.role not in (Role.USER, Role.MANAGER):
            raise DeniedError(f"the certificate of {identity} does not open this door")
        number = identity.owner or 0
        rows = _USER.rows(number)
        if not rows:
            raise UnauthenticatedError("the certificate's owner does not exist any more")
        username, admin, disabled = rows[0]
        if identity.role is Role.MANAGER:
            # Even of a disabled user: it is needed for giving his machines back.
            manager = Caller(
                number, username, False, identity.application, address=address, via="certificate"
            )
            return manager, False
        # At once, where the verifier learns of it only now and then.
        if _REVOKED.rows(found.serial):
            raise UnauthenticatedError("The certificate has been revoked: get a new one.")
        caller = Caller(number, username, bool(admin), address=address, via="certificate")
        return caller, bool(disabled)
