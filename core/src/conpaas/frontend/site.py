"""What all pages share: asking the director, and showing a template with what it said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from conpaas.api import Overview
from conpaas.errors import ConPaaSError, UnauthenticatedError
from conpaas.frontend.calls import Director
from conpaas.frontend.visit import Visit
from conpaas.plugins import Plugins
from conpaas.transport import fan_out
from conpaas.web import Request, Response

#: Of pages: nothing from elsewhere, nothing inline, in nobody's frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HTML = "text/html; charset=utf-8"
#: How long ago something was says nothing new.
_TIMES = re.compile(rb"(<time [^>]*>)[^<]*")
Crumb = tuple[str, str]  #: a title and an address


@dataclass(frozen=True)
class Told:
    """Answers to questions asked at once, by name; one may be the error that it ended with."""

    answers: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return an answer.

        Raises:
            ConPaaSError: It was this error.
        """
        answer = self.answers[name]
        if isinstance(answer, ConPaaSError):
            raise answer
        return answer

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return an answer, or ``otherwise`` when it was an error."""
        answer = self.answers[name]
        return otherwise if isinstance(answer, ConPaaSError) else answer

    def error(self, name: str) -> ConPaaSError | None:
        """Return the error that a question ended with."""
        answer = self.answers[name]
        return answer if isinstance(answer, ConPaaSError) else None


class Site:
    """The pages' common ground.

    Args:
        director: Where calls go.
        plugins: Those that are installed here.
        templates: Makes pages.
    """

    def __init__(
        self, director: Director, plugins: Plugins, templates: jinja2.Environment
    ) -> None:
        self.director = director
        self.plugins = plugins
        self.templates = templates

    def visit(self, req: Request, resp: Response) -> Visit:
        """Return who is calling, logged in or not."""
        visit = Visit(self.director, req, resp)
        req.context.visit = visit
        return visit

    def enter(self, req: Request, resp: Response) -> Visit:
        """Return who is calling, who must have a session.

        Raises:
            UnauthenticatedError: There is none; that is answered with the page to log in.
        """
        visit = self.visit(req, resp)
        if not visit.token:
            raise UnauthenticatedError("log in first")
        return visit

    def ask(self, visit: Visit, **questions: Callable[[], Any]) -> Told:
        """Ask the director several things at once, and for what every page tells."""
        asked = {"overview": visit.api.users.get_overview, **questions}
        answers = fan_out(list(asked.values()))
        told = Told(dict(zip(asked, answers, strict=True)))
        if isinstance(told.error("overview"), UnauthenticatedError):
            told["overview"]
        return told

    def show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        template: str,
        *,
        title: str,
        overview: Overview | None = None,
        crumbs: Sequence[Crumb] = (),
        busy: bool = False,
        status: int = 200,
        **values: Any,
    ) -> None:
        """Answer with a page.

        Args:
            req: The request.
            resp: The answer.
            visit: Who is calling.
            template: Its file.
            title: Of the page.
            overview: What every page tells of the account; None where nobody is logged in.
            crumbs: What the page is in, outermost first, without itself.
            busy: Something on it changes by itself just now: it is asked for again every second.
            status: Of HTTP.
            values: What the template shows.
        """
        text = self.templates.get_template(template).render(
            title=title,
            overview=overview,
            user=overview.user if overview else None,
            notices=overview.notices if overview else (),
            crumbs=crumbs,
            busy=busy,
            csrf=visit.csrf,
            flash=visit.take_flash(),
            here=req.relative_uri,
            **values,
        )
        content = text.encode()
        if visit.is_live and status == 200:
            # Times pass; that is no news.
            digest = hashlib.sha256(_TIMES.sub(rb"\1", content)).hexdigest()
            tag = f'"{digest[:24]}"'
            resp.set_header("ETag", tag)
            if req.get_header("If-None-Match") == tag:
                resp.status = 304
                return
        resp.status = status
        resp.content_type = HTML
        resp.data = content


class Headers:
    """Middleware: what every answer carries."""

    def process_response(
        self, req: Request, resp: Response, resource: object, req_succeeded: bool
    ) -> None:
        """Set the headers."""
        resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        resp.set_header("Referrer-Policy", "no-referrer")
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("X-Frame-Options", "DENY")
        resp.set_header("Cross-Origin-Opener-Policy", "same-origin")
        resp.set_header("Cross-Origin-Resource-Policy", "same-origin")
        resp.set_header(
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()",
        )
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-store")
