"""What is done every half minute: hours are charged, what cannot be paid is stopped."""

from __future__ import annotations

import logging

from conpaas.director.director import Director
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.stops import Stops
from conpaas.state import State

logger = logging.getLogger(__name__)


def charge_round(director: Director) -> None:
    """Charge the hours that have begun, stop what cannot be paid, start what can be again.

    It may be cut off anywhere, and several may run at once.
    """
    ledger, stops = Ledger(director.config), Stops(director)
    for owner in dict.fromkeys(one.owner for one in ledger.due(director.clock())):
        try:
            _charge(director, ledger, stops, owner)
        except Exception:
            # The other users' machines are charged all the same; this one's in the next round.
            logger.exception("the machines of user %d cannot be charged", owner)
    _give_up_lost(ledger, stops)
    stops.carry_on()


def _charge(director: Director, ledger: Ledger, stops: Stops, owner: int) -> None:
    with director.database.atomic():
        unpaid = ledger.charge_due(owner, director.clock(), stops.leaving(owner))
        for application in unpaid:
            stops.note(application)


def _give_up_lost(ledger: Ledger, stops: Stops) -> None:
    """Stop applications that have lost their manager, where no credit is left for another."""
    managers = Machine.select(Machine.application).where(
        Machine.service == 0, Machine.state.in_(Life.living())
    )
    alone = Application.select().where(
        Application.state == State.RUNNING.value, Application.id.not_in(managers)
    )
    for application in alone:
        left = ledger.left(application.user_id)
        if left is not None and left <= 0:
            stops.note(application.id)
