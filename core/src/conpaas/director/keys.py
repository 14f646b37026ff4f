"""The SSH keys of users, as the director keeps them."""

from __future__ import annotations

import peewee

from conpaas.director.models import SshKey, database
from conpaas.errors import InvalidError, NotFoundError
from conpaas.ssh_keys import MAX_BYTES, PublicKey, parse

__all__ = ["MAX_BYTES", "PublicKey", "add", "of_user", "parse", "remove"]

MAX_KEYS = 100  #: of a user


def add(user: int, key: PublicKey, name: str, now: float) -> SshKey:
    """Keep a key of a user.

    Raises:
        InvalidError: He has it already, or too many.
    """
    try:
        with database.atomic():
            if SshKey.select().where(SshKey.user == user).count() >= MAX_KEYS:
                raise InvalidError(f"you have {MAX_KEYS} keys: remove those that are not needed")
            row: SshKey = SshKey.create(
                user=user,
                name=name or key.type,
                type=key.type,
                fingerprint=key.fingerprint,
                line=key.line,
                created=now,
            )
    except peewee.IntegrityError:
        present = SshKey.get(SshKey.user == user, SshKey.fingerprint == key.fingerprint)
        raise InvalidError(
            f"you have this key already: it is key {present.id} ({present.name})"
        ) from None
    return row


def of_user(user: int) -> list[SshKey]:
    """Return the keys of a user, oldest first."""
    return list(SshKey.select().where(SshKey.user == user).order_by(SshKey.id))


def remove(user: int, number: int) -> None:
    """Remove a key of a user.

    Raises:
        NotFoundError: He has none of that number.
    """
    if not SshKey.delete().where(SshKey.user == user, SshKey.id == number).execute():
        raise NotFoundError(f"you have no key {number} (cps-user list_keys)")
