"""How often somebody may try: passwords and registrations, counted for all workers together.

What is tried is counted before it is judged, so that a hundred guesses at once are a hundred
guesses.  Up to a number they cost nothing; from there on each makes the next one wait, twice as
long as the one before.  What is refused is not judged and not counted: waiting helps.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from conpaas.director.models import Attempt, database
from conpaas.errors import TooManyError
from conpaas.names import is_username

HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True)
class Limit:
    """How many attempts are free, and how long those after them make wait; seconds."""

    free: int
    first: float
    longest: float
    forgotten: float

    def wait(self, count: int) -> float:
        """Return how long after the last of ``count`` attempts the next one may be made."""
        if count < self.free:
            return 0.0
        return min(self.first * 2.0 ** min(count - self.free, 40), self.longest)


#: Guesses at one account from one address: strict, nobody else is kept out by it.
PAIR = Limit(free=10, first=1.0, longest=900.0, forgotten=HOUR)
#: Guesses at any account from one address.
ADDRESS = Limit(free=30, first=1.0, longest=900.0, forgotten=HOUR)
#: Guesses at one account from anywhere: mild, and not for places the user has come from before.
ACCOUNT = Limit(free=100, first=1.0, longest=30.0, forgotten=HOUR)
#: Registrations from one address.
REGISTRATION = Limit(free=10, first=60.0, longest=HOUR, forgotten=DAY)
#: How long a place is remembered that a user has logged in from, seconds.
KNOWN = 90 * DAY


class Attempts:
    """Counts attempts in the database.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    # -- passwords ----------------------------------------------------------------------------

    def guess(self, username: str, address: str) -> None:
        """Count an attempt at a password, before it is judged.

        Raises:
            TooManyError: It comes too soon after others; says when to try again.
        """
        account, place = _account(username), network(address)
        limits = {_pair(account, place): PAIR, f"password from {place}": ADDRESS}
        if not self._is_known(account, place):
            limits[f"password of {account}"] = ACCOUNT
        self._count(limits, "too many wrong passwords")

    def guessed(self, username: str, address: str) -> None:
        """Note that the password was right: the account's attempts are forgotten."""
        account, place, now = _account(username), network(address), self._clock()
        with database.atomic():
            Attempt.delete().where(
                Attempt.name.in_([_pair(account, place), f"password of {account}"])
            ).execute()
            # Not forgotten: whoever has an account could go on guessing at those of others.
            self._take_back(f"password from {place}")
            known = f"known {account} from {place}"
            Attempt.insert(name=known, count=0, last=now, forgotten=now + KNOWN).on_conflict(
                conflict_target=[Attempt.name],
                update={Attempt.last: now, Attempt.forgotten: now + KNOWN},
            ).execute()

    def _is_known(self, account: str, place: str) -> bool:
        return (
            Attempt.select()
            .where(
                Attempt.name == f"known {account} from {place}",
                Attempt.forgotten > self._clock(),
            )
            .exists()
        )

    # -- registrations ------------------------------------------------------------------------

    def register(self, address: str) -> None:
        """Count an attempt to register.

        Raises:
            TooManyError: There were too many from that address; says when to try again.
        """
        self._count(
            {f"registration from {network(address)}": REGISTRATION},
            "too many registrations from your address",
        )

    def invited(self, address: str) -> None:
        """Take the attempt to register back: it had a good invitation."""
        self._take_back(f"registration from {network(address)}")

    # -- both ---------------------------------------------------------------------------------

    def _count(self, limits: Mapping[str, Limit], what: str) -> None:
        with database.atomic():
            now = self._clock()
            Attempt.delete().where(Attempt.forgotten <= now).execute()
            rows = {row.name: row for row in Attempt.select().where(Attempt.name.in_([*limits]))}
            waits = {name: limits[name].wait(row.count) for name, row in rows.items()}
            # Of one that makes nobody wait, the time does not matter: clocks may differ a little.
            wait = max(
                (rows[name].last + long - now for name, long in waits.items() if long > 0),
                default=0.0,
            )
            if wait > 0:
                seconds = math.ceil(wait)
                raise TooManyError(
                    f"{what}: try again in {_spoken(seconds)}", detail={"retry_after": seconds}
                )
            for name, limit in limits.items():
                forgotten = now + limit.forgotten
                Attempt.insert(name=name, count=1, last=now, forgotten=forgotten).on_conflict(
                    conflict_target=[Attempt.name],
                    update={
                        Attempt.count: Attempt.count + 1,
                        Attempt.last: now,
                        Attempt.forgotten: forgotten,
                    },
                ).execute()

    def _take_back(self, name: str) -> None:
        Attempt.update(count=Attempt.count - 1).where(
            Attempt.name == name, Attempt.count > 0
        ).execute()


def network(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the network of an IPv6 one.

    Whoever has one IPv6 address has 2^64 of them.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


def _account(username: str) -> str:
    # What no user can be called is one account: its guesses are counted, its text is not kept.
    return username if is_username(username) else "?"


def _pair(account: str, place: str) -> str:
    return f"password of {account} from {place}"


def _spoken(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"
