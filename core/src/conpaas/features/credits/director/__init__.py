"""The director's part of credits: the ledger, the rounds that charge, and what they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.periodic import Periodic

if TYPE_CHECKING:
    from conpaas.director.config import DirectorConfig
    from conpaas.director.director import Director
    from conpaas.director.models import Machine, User
    from conpaas.director.users import Caller
    from conpaas.rpc import Operation

CHARGE_EVERY = 30.0  #: seconds between rounds

# What carries the hooks out is imported where it is used: every command line imports this file.


@hookimpl
def conpaas_director_objects() -> list[type]:
    """Carry them out."""
    from conpaas.features.credits.director.objects import CreditsObject

    return [CreditsObject]


@hookimpl
def conpaas_permit(director: Director, user: Caller, operation: Operation) -> str | None:
    """Refuse what costs credit, before anything is done, to a user who has none."""
    if operation.costs:
        from conpaas.features.credits.director.ledger import Ledger

        Ledger(director.config).require(user.user)
    return None


@hookimpl
def conpaas_machines_wanted(director: Director, machines: list[Machine]) -> None:
    """Charge the first hour of new machines."""
    from conpaas.features.credits.director.ledger import Ledger

    Ledger(director.config).charge_first(machines)


@hookimpl
def conpaas_machines_gone(director: Director, machines: list[Machine]) -> None:
    """Give back what was paid for machines that never came to life."""
    from conpaas.features.credits.director.ledger import Ledger

    Ledger(director.config).refund(machines, director.clock())


@hookimpl
def conpaas_user_created(config: DirectorConfig, user: User, credit: int | None) -> None:
    """Give a new user something to begin with."""
    from conpaas.features.credits.director.ledger import Ledger

    Ledger(config).open_account(user, credit)


@hookimpl
def conpaas_balance(director: Director, user: int) -> int | None:
    """Tell what is left."""
    from conpaas.features.credits.director.ledger import Ledger

    return Ledger(director.config).left(user)


@hookimpl
def conpaas_notices(director: Director, user: int) -> list[str]:
    """Warn before the credit is used up, and say what happened when it is."""
    from conpaas.features.credits.director.notices import notices

    return notices(director, user)


@hookimpl
def conpaas_periodic() -> list[Periodic]:
    """Charge the hours that have begun; stop what cannot be paid, start what can be again."""
    from conpaas.features.credits.director.rounds import charge_round

    return [Periodic("credits", CHARGE_EVERY, charge_round)]
