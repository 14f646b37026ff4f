"""What users and administrators may ask about credit: operations of the object ``user``."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec

from conpaas.api.accounts import SomeUser, Text, UserRef
from conpaas.rpc import expose
from conpaas.schema import Option

#: What a user has left; the word for one who is not charged.
Credit = int | Literal["unlimited"]
#: More than anybody needs, and the sum of all of them is still a number of 64 bits.
MOST = 1_000_000_000
Amount = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]


@dataclass(frozen=True)
class CreditChange:
    """What somebody's credit has become."""

    username: str
    credit: Credit


@dataclass(frozen=True)
class CreditEntry:
    """A line of a user's account.

    ``time`` as ISO 8601 in UTC: of a charge, when the hour began.  ``amount`` is negative for a
    charge, 0 for one of a user who is not charged.  ``balance`` is what was left after it.
    """

    id: int
    time: str
    kind: str
    amount: int
    balance: int
    aid: int | None
    application: str
    sid: int | None
    machine: int | None
    reason: str
    by: str


@dataclass(frozen=True)
class CreditUse:
    """Started hours of an application's machines on one day (UTC), each of them one credit."""

    day: str
    aid: int
    application: str
    credits: int


class Credits(abc.ABC):
    """What your machines cost, and what you have left."""

    object: ClassVar[str] = "user"

    @abc.abstractmethod
    @expose(reads=True)
    def get_credit(self, user: SomeUser = None) -> Credit:
        """Show the credit that is left, or that there is no limit."""

    @abc.abstractmethod
    @expose(
        admin=True,
        done="Credit added successfully to user '{username}', the new credit is {credit}.",
    )
    def add_credit(
        self,
        user: UserRef,
        credit: Annotated[Amount, "How much; below zero takes away"],
        reason: Annotated[Text, "Why, for the user to read"] = "",
    ) -> CreditChange:
        """Add credit to a user's account, or take some away."""

    @abc.abstractmethod
    @expose(admin=True, done="The credit of user '{username}' is now {credit}.")
    def set_unlimited(
        self,
        user: UserRef,
        unlimited: Annotated[bool, "yes: nothing is charged; no: the user pays from now on"],
    ) -> CreditChange:
        """Charge a user no more, or again."""

    @abc.abstractmethod
    @expose(reads=True)
    def credit_history(
        self,
        user: SomeUser = None,
        before: Annotated[int | None, "Only those before this number: the next page"] = None,
        count: Annotated[
            int, "How many at most", Option(positional=False), msgspec.Meta(ge=1, le=1000)
        ] = 100,
    ) -> tuple[CreditEntry, ...]:
        """List what was given and charged, newest first."""

    @abc.abstractmethod
    @expose(reads=True)
    def get_usage(
        self,
        user: SomeUser = None,
        days: Annotated[int, "How many days, today included", msgspec.Meta(ge=1, le=366)] = 30,
    ) -> tuple[CreditUse, ...]:
        """Show the credit used on each day by each application, newest day first."""
