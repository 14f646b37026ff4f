"""Carries out what users and administrators ask about credit."""

from __future__ import annotations

from typing import Any

from conpaas.director.models import User
from conpaas.director.objects import ApiObject
from conpaas.errors import DeniedError, NotFoundError
from conpaas.features.credits.api import Credit, CreditChange, CreditEntry, Credits, CreditUse
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.statements import history, usage


class CreditsObject(ApiObject, Credits):
    """The part of ``user`` that is about credit."""

    def get_credit(self, user: str | int | None = None) -> Credit:
        """Show the credit that is left."""
        return self._credit(self._whose(user).id)

    def add_credit(self, user: str | int, credit: int, reason: str = "") -> CreditChange:
        """Add credit to an account."""
        row = self._whose(user)
        self._ledger.add(row, credit, reason, self.caller.username, self.director.clock())
        return self._changed(row)

    def set_unlimited(self, user: str | int, unlimited: bool) -> CreditChange:
        """Charge a user no more, or again."""
        row = self._whose(user)
        self._ledger.set_unlimited(row.id, unlimited)
        return self._changed(row)

    def credit_history(
        self, user: str | int | None = None, before: int | None = None, count: int = 100
    ) -> tuple[CreditEntry, ...]:
        """List what was given and charged."""
        return history(self._whose(user).id, before, count)

    def get_usage(self, user: str | int | None = None, days: int = 30) -> tuple[CreditUse, ...]:
        """Show the credit used on each day by each application."""
        return usage(self._whose(user).id, days, self.director.clock())

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.director.config)

    def _credit(self, user: int) -> Credit:
        left = self._ledger.left(user)
        return "unlimited" if left is None else left

    def _changed(self, row: User) -> CreditChange:
        return CreditChange(row.username, self._credit(row.id))

    def _whose(self, ref: str | int | None) -> User:
        """Return the user that is meant.

        Raises:
            DeniedError: It is another, and the caller is no administrator.
            NotFoundError: There is none.
        """
        if ref is None:
            return self._user(User.id == self.caller.user, str(self.caller.user))
        number = isinstance(ref, int) or (ref.isascii() and ref.isdigit() and len(ref) < 18)
        match = User.id == int(ref) if number else User.username == ref
        if self.caller.admin:
            return self._user(match, str(ref))
        own = self._user(User.id == self.caller.user, str(self.caller.user))
        if ref != own.username and str(ref) != str(own.id):
            raise DeniedError("only administrators may ask about others: leave the user out")
        return own

    @staticmethod
    def _user(match: Any, ref: str) -> User:
        found: User | None = User.get_or_none(match)
        if found is None:
            raise NotFoundError(f"there is no user {ref[:60]!r}")
        return found
