"""What the ledger tells a user: his lines, and what he used."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import peewee

from conpaas.director.times import in_words
from conpaas.features.credits.api import CreditEntry as Line
from conpaas.features.credits.api import CreditUse
from conpaas.features.credits.director.tables import CreditEntry, Kind

DAY = 86400


def history(user: int, before: int | None, count: int) -> tuple[Line, ...]:
    """Return a user's lines, newest first.

    Args:
        user: The user.
        before: Only lines with a smaller number.
        count: How many at most.
    """
    rows = CreditEntry.select().where(CreditEntry.user == user)
    if before is not None:
        rows = rows.where(CreditEntry.id < before)
    found = list(rows.order_by(CreditEntry.id.desc()).limit(count))
    if not found:
        return ()
    balance = (
        CreditEntry.select(peewee.fn.SUM(CreditEntry.amount))
        .where(CreditEntry.user == user, CreditEntry.id <= found[0].id)
        .scalar()
    )
    lines = []
    for row in found:
        lines.append(
            Line(
                id=row.id,
                time=in_words(row.time),
                kind=row.kind,
                amount=row.amount,
                balance=int(balance),
                aid=row.application,
                application=row.application_name,
                sid=row.service,
                machine=row.machine,
                reason=row.reason,
                by=row.by,
            )
        )
        balance -= row.amount
    return tuple(lines)


def usage(user: int, days: int, now: float) -> tuple[CreditUse, ...]:
    """Return the started hours of each day and application, newest day first.

    Hours that were given back are left out; those of a user who pays nothing count.
    """
    first = (int(now // DAY) - days + 1) * DAY
    back = CreditEntry.alias()
    rows = (
        CreditEntry.select(CreditEntry.time, CreditEntry.application, CreditEntry.application_name)
        .join(
            back,
            peewee.JOIN.LEFT_OUTER,
            on=(
                (back.machine == CreditEntry.machine)
                & (back.hour == CreditEntry.hour)
                & (back.kind == Kind.REFUND.value)
            ),
        )
        .where(
            CreditEntry.user == user,
            CreditEntry.kind == Kind.CHARGE.value,
            CreditEntry.time >= first,
            back.id.is_null(),
        )
        .order_by(CreditEntry.id)
    )
    names: dict[int, str] = {}
    used: Counter[tuple[int, int]] = Counter()
    for when, application, name in rows.tuples():
        names[application] = name  # the last one: it may have been renamed
        used[int(when // DAY), application] += 1
    return tuple(
        CreditUse(
            dt.datetime.fromtimestamp(day * DAY, dt.UTC).date().isoformat(),
            application,
            names[application],
            hours,
        )
        for (day, application), hours in sorted(
            used.items(), key=lambda one: (-one[0][0], one[0][1])
        )
    )
