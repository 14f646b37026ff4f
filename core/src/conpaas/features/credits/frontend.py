"""The page of credit: what is left, what was used, what was given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.features.credits.chart import chart, days_until, series
from conpaas.frontend.page import Page
from conpaas.transport import fan_out

DAYS = (7, 30, 90)  #: that can be looked at
ROWS = 25  #: of the history, at once
#: What kinds of lines there are, in words.
KINDS = {"grant": "given", "top_up": "added", "charge": "charged", "refund": "given back"}


def page() -> Page:
    """Return the page."""
    return Page(path="use", title="Credit", template="use.html", values=values)


def values(api: Any, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows, of whom and of how many days the query says."""
    user = query.get("user", "").strip() or None
    days = _number(query.get("days", ""), "days", 30)
    before = _number(query.get("before", ""), "before", 0) or None
    if not 1 <= days <= 366:
        raise InvalidError(f"days must be from 1 to 366, not {days}")
    users = api.users
    answers: list[Any] = fan_out(
        [
            lambda: users.get_credit(user=user),
            lambda: users.get_usage(user=user, days=days),
            lambda: users.credit_history(user=user, before=before, count=ROWS + 1),
        ]
    )
    for answer in answers:
        if isinstance(answer, ConPaaSError):
            raise answer
    left, uses, rows = answers
    asked = days_until(dt.datetime.now(dt.UTC).date(), days)
    found = series(uses, asked)
    own = {"user": user} if user else {}
    return {
        "whose": user,
        "left": left,
        "days": days,
        "spans": [(n, f"?{urlencode({**own, 'days': n})}") for n in DAYS],
        "chart": chart(found, asked) if found else "",
        "legend": [(name, sum(amounts)) for name, amounts in found],
        "total": sum(use.credits for use in uses),
        "uses": uses,
        "rows": rows[:ROWS],
        "kinds": KINDS,
        "newest": before is None,
        "first": f"?{urlencode({**own, 'days': days})}#history",
        "older": (
            f"?{urlencode({**own, 'days': days, 'before': rows[ROWS - 1].id})}#history"
            if len(rows) > ROWS
            else ""
        ),
    }


def _number(text: str, name: str, default: int) -> int:
    if not text.strip():
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidError(f"{name} must be a number, not {text[:20]!r}") from None
