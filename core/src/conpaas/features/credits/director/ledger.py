"""The ledger: every credit that was given, charged or given back; a balance is their sum.

Whoever writes on the strength of a balance locks the account first, so that the balance stands
still until the line is written.  On SQLite a transaction has the whole database to itself; on
PostgreSQL the account's row is what others wait for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import peewee

from conpaas.director.config import DirectorConfig
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine, User, database
from conpaas.director.prepared import Prepared
from conpaas.errors import InvalidError, NoCreditError
from conpaas.features.credits.director.tables import CreditAccount, CreditEntry, Kind

HOUR = 3600.0  #: seconds
AT_ONCE = 500  #: lines written by one statement
ASK = "ask an administrator for more"


@dataclass(frozen=True)
class Due:
    """An hour of a machine that has begun and is not charged yet."""

    owner: int
    application: int
    name: str
    service: int
    machine: int
    hour: int
    begins: float
    past: bool  #: a later hour of the machine has begun too: this one was served


#: What every page and every changing call tells: a user's balance, and whether it counts.
_BALANCE = Prepared(
    lambda user: CreditEntry.select(
        peewee.fn.COALESCE(peewee.fn.SUM(CreditEntry.amount), 0)
    ).where(CreditEntry.user == user)
)
_UNLIMITED = Prepared(
    lambda user: CreditAccount.select(CreditAccount.unlimited).where(CreditAccount.user == user)
)


class Ledger:
    """Who was given and charged what.

    Args:
        config: Of the director.
    """

    def __init__(self, config: DirectorConfig) -> None:
        self._config = config.credits

    # -- asking -------------------------------------------------------------------------------

    def balance(self, user: int) -> int:
        """Return the sum of a user's lines."""
        ((total,),) = _BALANCE.rows(user)
        return int(total)

    def left(self, user: int) -> int | None:
        """Return what a user has left, None for one who is not charged."""
        return None if self._is_free(user) else self.balance(user)

    def require(self, user: int) -> None:
        """Raise when a user may start nothing.

        Raises:
            NoCreditError: Nothing is left; says whom to ask.
        """
        left = self.left(user)
        if left is not None and left <= 0:
            raise NoCreditError(
                f"no credit is left, and a machine costs one credit an hour: {ASK}",
                detail={"needed": 1, "left": left},
            )

    def topped_up(self, user: int, line: int) -> bool:
        """Whether an administrator has added credit after a line was written."""
        later = CreditEntry.select().where(
            CreditEntry.user == user,
            CreditEntry.id > line,
            CreditEntry.kind == Kind.TOP_UP.value,
            CreditEntry.amount > 0,
        )
        return bool(later.exists())

    def last_line(self) -> int:
        """Return the number of the last line that was written, 0 when there is none."""
        return int(CreditEntry.select(peewee.fn.MAX(CreditEntry.id)).scalar() or 0)

    def due(self, now: float, owner: int | None = None) -> list[Due]:
        """Return the hours of living machines that have begun and are not charged, oldest first.

        Args:
            now: The time.
            owner: Only those of this user.
        """
        # A refund's hour was charged before: it need not be told apart, and the index answers.
        charged = CreditEntry.select(peewee.fn.MAX(CreditEntry.hour)).where(
            CreditEntry.machine == Machine.id
        )
        rows = (
            Machine.select(
                Application.user, Application.id, Application.name, Machine.service, Machine.id,
                Machine.created, peewee.fn.COALESCE(charged, -1),
            )
            .join(Application)
            .where(Machine.state.in_(Life.living()))
        )  # fmt: skip
        if owner is not None:
            rows = rows.where(Application.user == owner)
        found = []
        for user, aid, name, service, machine, created, last in rows.tuples():
            current = int((now - created) // HOUR)
            found += [
                Due(user, aid, name, service, machine, hour, created + hour * HOUR, hour < current)
                for hour in range(last + 1, current + 1)
            ]
        return sorted(found, key=lambda due: (due.begins, due.machine))

    # -- charging -----------------------------------------------------------------------------

    def charge_first(self, machines: Sequence[Machine]) -> None:
        """Charge the first hour of new machines of one application, all of them or none.

        Raises:
            NoCreditError: The owner cannot pay all; says how many are needed and are left.
        """
        application = machines[0].application
        owner = application.user_id
        with database.atomic():
            free = self._lock(owner)
            numbers = [machine.id for machine in machines]
            charged = {
                number
                for (number,) in CreditEntry.select(CreditEntry.machine)
                .where(CreditEntry.machine.in_(numbers))
                .tuples()
            }
            due = [
                Due(owner, application.id, application.name, m.service, m.id, 0, m.created, False)
                for m in machines
                if m.id not in charged
            ]
            if not free and len(due) > (left := self.balance(owner)):
                raise NoCreditError(
                    f"{in_words(len(due), 'machine')} for one hour cost "
                    f"{in_words(len(due), 'credit')}, and user {application.user.username!r} has "
                    f"{left} left: {ASK}",
                    detail={"needed": len(due), "left": left},
                )
            self._charge(due, free)

    def charge_due(self, owner: int, now: float, leaving: Sequence[int] = ()) -> list[int]:
        """Charge the hours of a user's machines that have begun.

        An application whose machines cannot all go on is charged nothing for the hour that has
        just begun: it is to be stopped.  Hours that were served before, while no director was
        there to charge them, are charged as far as the credit goes.

        Args:
            owner: The user.
            now: The time.
            leaving: Applications that are being stopped for lack of credit: they pay no more.

        Returns:
            The applications that cannot be paid.
        """
        with database.atomic():
            free = self._lock(owner)
            due = [one for one in self.due(now, owner) if one.application not in leaving]
            if free:
                self._charge(due, free)
                return []
            left = max(0, self.balance(owner))
            past = [one for one in due if one.past]
            paid, unpaid = past[:left], dict.fromkeys(one.application for one in past[left:])
            left -= len(paid)
            present = [one for one in due if not one.past]
            for application in dict.fromkeys(one.application for one in present):
                hours = [one for one in present if one.application == application]
                if application in unpaid or len(hours) > left:
                    unpaid[application] = None
                else:
                    paid += hours
                    left -= len(hours)
            self._charge(paid, free)
            return list(unpaid)

    def refund(self, machines: Sequence[Machine], now: float) -> None:
        """Give back what was charged for those of these machines that never joined, once."""
        with database.atomic():
            never = Machine.select(Machine.id).where(
                # Asked again: one may have joined since the caller looked.
                Machine.id.in_([machine.id for machine in machines]),
                Machine.public_key.is_null(),
            )
            charges = CreditEntry.select().where(
                CreditEntry.machine.in_([row.id for row in never]),
                CreditEntry.kind == Kind.CHARGE.value,
            )
            _write(
                [
                    {name: value for name, value in charge.__data__.items() if name != "id"}
                    | {
                        "time": now,
                        "amount": -charge.amount,
                        "kind": Kind.REFUND.value,
                        "reason": "the machine never joined",
                    }
                    for charge in charges
                ]
            )

    # -- giving -------------------------------------------------------------------------------

    def open_account(self, user: User, credit: int | None) -> None:
        """Begin a new user's account.

        Args:
            user: The user.
            credit: What an administrator gives.  None: an administrator is not charged, anybody
                else gets what the settings say.
        """
        unlimited = bool(user.admin) and credit is None
        CreditAccount.insert(user=user.id, unlimited=unlimited).execute()
        amount = self._config.initial_credit if credit is None else credit
        if amount and not unlimited:
            CreditEntry.insert(
                user=user.id,
                time=time.time(),
                amount=amount,
                kind=Kind.GRANT.value,
                reason="credit to begin with",
            ).execute()

    def add(self, user: User, amount: int, reason: str, by: str, now: float) -> None:
        """Add credit to an account, or take some away.

        Raises:
            InvalidError: More would be taken than is there.
        """
        if not amount:
            raise InvalidError("credit: 0 changes nothing: give more, or less, than that")
        with database.atomic():
            self._lock(user.id)
            balance = self.balance(user.id)
            if amount < 0 and balance + amount < 0:
                raise InvalidError(
                    f"user {user.username!r} has {in_words(balance, 'credit')}: {-amount} cannot "
                    "be taken away",
                    detail={"left": balance},
                )
            CreditEntry.insert(
                user=user.id,
                time=now,
                amount=amount,
                kind=Kind.TOP_UP.value,
                reason=reason,
                by=by,
            ).execute()

    def set_unlimited(self, user: int, unlimited: bool) -> None:
        """Charge a user no more, or again."""
        with database.atomic():
            self._lock(user)
            CreditAccount.update(unlimited=unlimited).where(CreditAccount.user == user).execute()

    # -- how it is done -----------------------------------------------------------------------

    def _is_free(self, user: int) -> bool:
        if not self._config.charge:
            return True
        return any(unlimited for (unlimited,) in _UNLIMITED.rows(user))

    def _lock(self, user: int) -> bool:
        """Keep others from the account until the transaction ends; return whether it is free."""
        CreditAccount.insert(user=user).on_conflict_ignore().execute()
        # A write that changes nothing: it locks the row on every database.
        CreditAccount.update(user=user).where(CreditAccount.user == user).execute()
        return self._is_free(user)

    def _charge(self, due: Sequence[Due], free: bool) -> None:
        # One who pays nothing has lines too: they tell of the use, and whoever has to pay later
        # does not pay for what was before.
        _write(
            [
                {
                    "user": one.owner,
                    "time": one.begins,
                    "amount": 0 if free else -1,
                    "kind": Kind.CHARGE.value,
                    "machine": one.machine,
                    "hour": one.hour,
                    "application": one.application,
                    "application_name": one.name,
                    "service": one.service,
                    "reason": f"hour {one.hour + 1}",
                }
                for one in due
            ]
        )


def _write(lines: Sequence[dict[str, Any]]) -> None:
    """Write lines of machines' hours; one that is there already stays as it is."""
    for first in range(0, len(lines), AT_ONCE):
        CreditEntry.insert_many(lines[first : first + AT_ONCE]).on_conflict_ignore().execute()


def in_words(count: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
