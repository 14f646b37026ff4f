"""A page with several forms, each of which is sent to the page itself."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conpaas.errors import ConPaaSError, InvalidError, NotFoundError
from conpaas.frontend.calls import CHANGE_TIMEOUT
from conpaas.frontend.forms import Form, operation_form
from conpaas.frontend.pages.operations import job_page
from conpaas.frontend.posted import Posted, read_form
from conpaas.frontend.site import Site, Told
from conpaas.frontend.visit import Visit
from conpaas.rpc import JobStarted, operations
from conpaas.web import Request, Response

#: Of the query: which form was sent.
FORM = "form"


@dataclass
class Turn:
    """A request of such a page, and what is known of it.

    Args:
        req: The request.
        resp: The answer.
        visit: Who is calling.
        where: What the address names.
        told: What the director said.
        forms: The page's forms by name.
        posted: What was sent; nothing when the page is only looked at.
        status: Of the page, when it is shown.
    """

    req: Request
    resp: Response
    visit: Visit
    where: Mapping[str, Any]
    told: Told
    forms: dict[str, Form]
    posted: Posted = field(default_factory=Posted)
    status: int = 200


class FormsPage(abc.ABC):
    """A page whose forms stand in sections of it, and so do the errors of what was sent.

    Must define:
        ``forms(told, where)``: the forms by name; ``carry_out(turn, form, arguments)``: do what
        one asks for, and answer; ``show(turn)``: answer with the page.

    May override:
        ``questions(visit, where)``: what the page asks the director, beside the overview;
        ``prepare(posted)``: return what was sent, as the form needs it.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is asked, by name: see :meth:`Site.ask`."""
        return {}

    def prepare(self, posted: Posted) -> Posted:
        """Return what was sent, as the form needs it."""
        return posted

    @abc.abstractmethod
    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the forms by name."""

    @abc.abstractmethod
    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Do what a form asks for, and answer: ``form.mark`` is its name."""

    @abc.abstractmethod
    def show(self, turn: Turn) -> None:
        """Answer with the page."""

    def on_get(self, req: Request, resp: Response, **where: Any) -> None:
        """Show the page."""
        visit = self.site.enter(req, resp)
        told = self.site.ask(visit, **self.questions(visit, where))
        self.show(Turn(req, resp, visit, where, told, self.forms(told, where)))

    def on_post(self, req: Request, resp: Response, **where: Any) -> None:
        """Do what one of the forms asks for."""
        visit = self.site.enter(req, resp)
        posted = read_form(req, visit)
        told = self.site.ask(visit, **self.questions(visit, where))
        turn = Turn(req, resp, visit, where, told, self.forms(told, where), posted)
        form = turn.forms.get(req.get_param(FORM) or "")
        if form is None:
            raise NotFoundError("this page has no such form")
        try:
            turn.posted = posted = self.prepare(posted)
            if form.is_dangerous and not posted.text("confirmed"):
                raise InvalidError("say first that this may be lost")
            self.carry_out(turn, form, form.arguments(posted))
        except JobStarted as started:
            visit.go(job_page(started.watch, form.back))
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            form.blame(error)
            form.fill(posted)
            turn.status = error.status
            self.show(turn)

    def form(self, path: str, name: str, operation: str, **how: Any) -> Form:
        """Return the form of an operation of the object ``user``, sent to this page.

        Args:
            path: Of this page.
            name: Of the form.
            operation: What it asks for.
            how: As in ``operation_form``.
        """
        declared = operations(self.site.director.declared["user"])[operation]
        how.setdefault("back", path)
        return operation_form(declared, f"{path}?{FORM}={name}", mark=name, **how)


def send(visit: Visit, form: Form, arguments: Mapping[str, Any], **more: Any) -> Any:
    """Carry out what a form of the object ``user`` asks for, and return the answer as JSON.

    Raises:
        JobStarted: It takes a while.
    """
    channel = visit.api.channel("/api/v1/user", CHANGE_TIMEOUT)
    return channel.send(form.operation, {**arguments, **more})
