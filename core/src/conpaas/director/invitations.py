"""Invitations to register: made by administrators, each used once."""

from __future__ import annotations

import secrets

from conpaas.api import InvitationInfo
from conpaas.director.models import Invitation, User
from conpaas.director.times import in_words
from conpaas.director.tokens import digest
from conpaas.director.users import email_key
from conpaas.errors import DeniedError, InvalidError, NotFoundError, WrongStateError


def invite(email: str, now: float, lifetime: float) -> str:
    """Make an invitation and return its code; it cannot be shown again."""
    code = f"inv_{secrets.token_urlsafe(18)}"
    Invitation.create(digest=digest(code), email=email, created=now, expires=now + lifetime)
    return code


def redeem(code: str, user: User, now: float) -> None:
    """Use an invitation, in the transaction that creates its user: of two at once, one gets it.

    Raises:
        DeniedError: It cannot be used (any more); says why.
        InvalidError: It is for another e-mail address.
    """
    row = Invitation.get_or_none(Invitation.digest == digest(code.strip()))
    if row is None:
        raise DeniedError("the code is none of an invitation: copy it again, whole")
    if row.email and email_key(row.email) != email_key(user.email):
        raise InvalidError("the invitation is for another e-mail address")
    used = (
        Invitation.update(used=now, username=user.username)
        .where(
            Invitation.id == row.id,
            Invitation.used.is_null(),
            Invitation.revoked.is_null(),
            Invitation.expires > now,
        )
        .execute()
    )
    if not used:
        state = _state(Invitation.get_by_id(row.id), now)
        why = {"used": "has been used already", "revoked": "has been revoked"}
        raise DeniedError(f"the invitation {why.get(state, 'has expired')}: ask for another")


def listing(now: float) -> tuple[InvitationInfo, ...]:
    """Return all invitations, newest first."""
    return tuple(
        InvitationInfo(
            row.id,
            row.email,
            _state(row, now),
            row.username,
            in_words(row.created),
            in_words(row.expires),
        )
        for row in Invitation.select().order_by(Invitation.id.desc())
    )


def revoke(number: int, now: float) -> None:
    """Revoke an invitation; one that is revoked is fine.

    Raises:
        NotFoundError: There is none of that number.
        WrongStateError: It has been used.
    """
    row = Invitation.get_or_none(Invitation.id == number)
    if row is None:
        raise NotFoundError(f"there is no invitation {number} (cps-user list_invitations)")
    Invitation.update(revoked=now).where(
        Invitation.id == number, Invitation.used.is_null(), Invitation.revoked.is_null()
    ).execute()
    row = Invitation.get_by_id(number)
    if row.used is not None:
        raise WrongStateError(
            f"invitation {number} has been used by {row.username!r}: disable the user instead"
        )


def _state(row: Invitation, now: float) -> str:
    if row.used is not None:
        return "used"
    if row.revoked is not None:
        return "revoked"
    return "open" if row.expires > now else "expired"
