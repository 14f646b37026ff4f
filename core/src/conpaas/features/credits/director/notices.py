"""What a user must know about his credit, in a sentence or two."""

from __future__ import annotations

import peewee

from conpaas.director.director import Director
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine
from conpaas.director.prepared import Prepared
from conpaas.features.credits.director.ledger import ASK, Ledger, in_words
from conpaas.features.credits.director.stops import Stops
from conpaas.features.credits.director.tables import CreditStop, Phase

_MACHINES = Prepared(
    lambda user: (
        Machine.select(peewee.fn.COUNT(Machine.id))
        .join(Application)
        .where(Application.user == user, Machine.state.in_(Life.living()))
    )
)
_STOPS = Prepared(
    lambda user: (
        CreditStop.select(CreditStop.application)
        .join(Application)
        .where(Application.user == user)
        .order_by(CreditStop.application)
    )
)


def notices(director: Director, user: int) -> list[str]:
    """Return the warnings for a user: little is left, nothing is left, what was stopped for it."""
    left = Ledger(director.config).left(user)
    if left is None:
        return []
    told = []
    if left <= director.config.credits.warn_below:
        told.append(_little(left, _machines(user)))
    for (application,) in _STOPS.rows(user):
        row = CreditStop.get_or_none(CreditStop.application == application)
        if row is None:
            continue  # it goes on again, just now
        name = row.application.name
        if row.phase == Phase.STOPPING:
            told.append(f"Application '{name}' is being stopped: there was no credit left for it.")
        elif row.phase == Phase.STOPPED:
            needed = in_words(Stops(director).needed(row), "credit")
            told.append(
                f"Application '{name}' was stopped, as no credit was left. Its code, settings and "
                "volumes are kept; it starts again by itself when credit is added and you have "
                f"at least {needed}."
            )
    return told


def _little(left: int, machines: int) -> str:
    if left > 0:
        told = f"You have {in_words(left, 'credit')} left"
        if not machines:
            return f"{told}."
        # Each machine has paid for the hour that it is in.
        hours = left // machines
        lasts = "less than an hour more" if hours == 0 else f"about {in_words(hours, 'hour')} more"
        return f"{told}: for {in_words(machines, 'machine')} that is {lasts}. For longer, {ASK}."
    if machines:
        return (
            f"You have no credit left: {in_words(machines, 'machine')} will be stopped at the end "
            f"of the hour that is paid, and nothing new can be started. To go on, {ASK}."
        )
    return f"You have no credit left: nothing can be started. To go on, {ASK}."


def _machines(user: int) -> int:
    ((count,),) = _MACHINES.rows(user)
    return int(count)
