"""What goes wrong, as pages that say what to do."""

from __future__ import annotations

import logging
import secrets
from typing import Any
from urllib.parse import quote

import falcon

from conpaas.errors import (
    AgentError,
    BusyError,
    CloudError,
    ConPaaSError,
    DeniedError,
    InvalidError,
    NoCreditError,
    NotFoundError,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnreachableError,
    WrongStateError,
)
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit, within_site
from conpaas.web import App, Request, Response

logger = logging.getLogger(__name__)
#: The title of each kind of error, and what can be done.
_TOLD: dict[type[ConPaaSError], tuple[str, str]] = {
    InvalidError: ("That was not understood", "Go back and correct it."),
    NoCreditError: ("The credit is used up", "Ask an administrator for more."),
    DeniedError: ("You may not do this", "Ask the owner or an administrator."),
    NotFoundError: (
        "There is nothing here",
        "It may have been deleted or renamed. The dashboard has everything that is yours.",
    ),
    WrongStateError: ("Not in this state", "Do something else first."),
    BusyError: ("Something else is at work", "Wait until it has ended, and try again."),
    TooManyError: ("That was tried too often", "Wait for as long as it says."),
    TooLargeError: ("That is too large", "Send less, or ask for a higher limit."),
    CloudError: ("The cloud has failed", "Try again; its own words are above."),
    AgentError: ("A machine has failed at its part", "Look at its log, and try again."),
    UnreachableError: (
        "The director does not answer",
        "It may be starting, or the network may be down. Your applications go on running. "
        "This page tries again by itself.",
    ),
}
_BUG = ("Something went wrong", "It is not your fault. Quote the number to your administrator.")


class Errors:
    """Answers errors with pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def install(self, app: App) -> None:
        """Have an application answer all errors here."""
        app.add_error_handler(Exception, self._bug)
        app.add_error_handler(falcon.HTTPError, self._of_falcon)
        app.add_error_handler(ConPaaSError, self._known)

    def _known(self, req: Request, resp: Response, error: ConPaaSError, params: Any) -> None:
        if isinstance(error, UnauthenticatedError) and req.path != "/login":
            return self._log_in(req, resp)
        if type(error) is ConPaaSError:
            logger.error("%s %s: %s", req.method, req.path, error)
        self._show(req, resp, error, error.status)

    def _of_falcon(
        self, req: Request, resp: Response, error: falcon.HTTPError, params: Any
    ) -> None:
        known: ConPaaSError
        if isinstance(error, falcon.HTTPMethodNotAllowed):
            known = InvalidError(f"{req.method} is not possible here")
            resp.set_header("Allow", (error.headers or {}).get("Allow", ""))  # type: ignore[union-attr]  # falcon's own are a dictionary
        elif error.status_code == 404:
            known = NotFoundError("no page has this address")
        else:
            known = InvalidError(error.description or error.title or "the request is malformed")
        self._show(req, resp, known, error.status_code)

    def _bug(self, req: Request, resp: Response, error: Exception, params: Any) -> None:
        number = secrets.token_hex(4)
        logger.error("internal error %s in %s %s", number, req.method, req.path, exc_info=error)
        self._show(req, resp, ConPaaSError(f"the log has it under number {number}"), 500)

    def _log_in(self, req: Request, resp: Response) -> None:
        visit = self._visit(req, resp)
        if visit.is_live:
            # Our script goes where a person would be sent.
            resp.status = 401
            return
        had_session = bool(visit.token)
        visit.end()
        visit.form_secret = ""
        here = within_site(req.relative_uri if req.method == "GET" else req.path)
        query = "" if here in ("/", "/logout") else f"?next={quote(here, safe='')}"
        if had_session:
            query += f"{'&' if query else '?'}ended=1"
        visit.go(f"/login{query}")

    def _show(self, req: Request, resp: Response, error: ConPaaSError, status: int) -> None:
        kind = next((cls for cls in type(error).__mro__ if cls in _TOLD), None)
        title, advice = _TOLD[kind] if kind else _BUG
        self._site.show(
            req, resp, self._visit(req, resp), "error.html",
            title=title, status=status, message=error.message, advice=advice, code=status,
            again=isinstance(error, UnreachableError) and req.method == "GET",
        )  # fmt: skip

    def _visit(self, req: Request, resp: Response) -> Visit:
        found: Visit | None = getattr(req.context, "visit", None)
        return found or self._site.visit(req, resp)
