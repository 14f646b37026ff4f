"""The record of changing calls: everybody's, for administrators, and one's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.frontend.fields import Field
from conpaas.frontend.pages.account import CRUMBS, PATH, TABS
from conpaas.frontend.site import Site, Told
from conpaas.frontend.visit import Visit
from conpaas.web import Request, Response

RECORD = f"{PATH}/record"
AUDIT = "/audit"
PAGE = 50  #: rows shown at once
FILTERS = ("user", "action", "target", "outcome", "since")


class AuditPage:
    """``/audit`` and ``/account/record``.

    Args:
        site: The pages' common ground.
        own: Only what the caller did.
    """

    def __init__(self, site: Site, own: bool = False) -> None:
        self._site = site
        self._own = own

    def on_get(self, req: Request, resp: Response) -> None:
        """Show a page of the record, newest first."""
        visit = self._site.enter(req, resp)
        asked = {name: (req.get_param(name) or "").strip() for name in FILTERS}
        overview = visit.api.users.get_overview() if self._own else None
        if overview is not None:
            asked["user"] = overview.user.username
        told, error = self._ask(visit, asked, req.get_param_as_int("before"))
        rows = told.get("rows", ()) if told else ()
        overview = overview or (told or self._site.ask(visit))["overview"]
        path = RECORD if self._own else AUDIT
        kept = {k: v for k, v in asked.items() if v and not (self._own and k == "user")}
        older = {**kept, "before": rows[PAGE - 1].id} if len(rows) > PAGE else None
        self._site.show(
            req, resp, visit, "audit.html",
            title="Record" if self._own else "Audit", overview=overview,
            crumbs=(*CRUMBS, ("Account", PATH)) if self._own else CRUMBS,
            own=self._own, tabs=TABS, here_tab=RECORD, path=path, rows=rows[:PAGE],
            fields=fields(asked, self._own), outcome=asked["outcome"], error=error,
            filtered=bool(kept),
            newest="before" not in req.params, status=error.status if error else 200,
            first=f"{path}?{urlencode(kept)}" if kept else path,
            older=f"{path}?{urlencode(older)}" if older else "",
        )  # fmt: skip

    def _ask(
        self, visit: Visit, asked: Mapping[str, str], before: int | None
    ) -> tuple[Told | None, ConPaaSError | None]:
        try:
            given: dict[str, Any] = {k: v for k, v in asked.items() if v}
            if since := asked["since"]:
                given["since"] = _moment(since)
        except InvalidError as error:
            return None, error
        told = self._site.ask(
            visit, rows=lambda: visit.api.audit.list(**given, before=before, count=PAGE + 1)
        )
        wrong = told.error("rows")
        if wrong is not None and not isinstance(wrong, InvalidError):
            raise wrong
        return told, wrong


def fields(asked: Mapping[str, str], own: bool) -> list[Field]:
    """Return the fields that narrow the record."""
    examples = {
        "user": "ann",
        "action": "start",
        "target": "application 1",
        "since": "2026-01-31",
    }
    found = [
        Field(name=n, label=n.capitalize(), kind="text", placeholder=e, value=asked[n])
        for n, e in examples.items()
        if not (own and n == "user")
    ]
    return found


def _moment(text: str) -> str:
    try:
        parsed = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(
            f"since: {text[:40]!r} is no time; write it like 2026-01-31 or 2026-01-31T14:30"
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).isoformat()
