"""Carries out what users and administrators ask about credit.

The class is made one with that of the other operations of ``user``: it has no methods but those
that are called, so that none can stand for another of the same name.
"""

from __future__ import annotations

from conpaas.director.administrators import find_user
from conpaas.director.director import Director
from conpaas.director.models import User
from conpaas.director.objects import ApiObject
from conpaas.director.users import Caller
from conpaas.errors import DeniedError
from conpaas.features.credits.api import Credit, CreditChange, CreditEntry, Credits, CreditUse
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.statements import history, usage


class CreditsObject(ApiObject, Credits):
    """The part of ``user`` that is about credit."""

    def get_credit(self, user: str | int | None = None) -> Credit:
        """Show the credit that is left."""
        return _credit(self.director, _whose(self.caller, user).id)

    def add_credit(self, user: str | int, credit: int, reason: str = "") -> CreditChange:
        """Add credit to an account."""
        row = find_user(user)
        by, now = self.caller.username, self.director.clock()
        Ledger(self.director.config).add(row, credit, reason, by, now)
        return CreditChange(row.username, _credit(self.director, row.id))

    def set_unlimited(self, user: str | int, unlimited: bool) -> CreditChange:
        """Charge a user no more, or again."""
        row = find_user(user)
        Ledger(self.director.config).set_unlimited(row.id, unlimited)
        return CreditChange(row.username, _credit(self.director, row.id))

    def credit_history(
        self, user: str | int | None = None, before: int | None = None, count: int = 100
    ) -> tuple[CreditEntry, ...]:
        """List what was given and charged."""
        return history(_whose(self.caller, user).id, before, count)

    def get_usage(self, user: str | int | None = None, days: int = 30) -> tuple[CreditUse, ...]:
        """Show the credit used on each day by each application."""
        return usage(_whose(self.caller, user).id, days, self.director.clock())


def _credit(director: Director, user: int) -> Credit:
    left = Ledger(director.config).left(user)
    return "unlimited" if left is None else left


def _whose(caller: Caller, ref: str | int | None) -> User:
    """Return the user that is meant, None is the caller.

    Raises:
        DeniedError: It is another, and the caller is no administrator.
        NotFoundError: There is none.
    """
    if ref is None or str(ref) in (caller.username, str(caller.user)):
        return find_user(caller.user)
    if not caller.admin:
        raise DeniedError("only administrators may ask about the credit of others")
    return find_user(ref)
