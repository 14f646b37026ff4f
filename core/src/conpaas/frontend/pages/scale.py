"""Scaling: how many nodes each role shall have, in one form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.frontend.calls import CHANGE_TIMEOUT
from conpaas.frontend.forms import link
from conpaas.frontend.pages.operations import Subject, job_page, service_subject
from conpaas.frontend.posted import read_form
from conpaas.frontend.scaling import Change, Plan, RoleCount, by_role, change_of, plan
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit
from conpaas.rpc import JobStarted
from conpaas.web import Request, Response


@dataclass(frozen=True)
class _Asked:
    """What somebody wants of a service."""

    subject: Subject
    manager: Any
    counts: list[RoleCount]
    was: dict[str, str]
    cloud: str

    @property
    def path(self) -> str:
        """Of this page, with what is wanted."""
        wanted = {f"count.{one.role.name}": one.wanted for one in self.counts}
        cloud = {"cloud": self.cloud} if self.cloud else {}
        return link(f"{self.subject.path}/scale", **wanted, **cloud)


class Scale:
    """``/applications/{aid}/services/{sid}/scale``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Tell what the counts in the address would change; without any, go to the form."""
        visit = self._site.enter(req, resp)
        if not any(name.startswith("count.") for name in req.params):
            return visit.go(f"/applications/{aid}/services/{sid}#scale")
        asked = self._asked(visit, aid, sid, lambda name: req.get_param(name) or "")
        try:
            change = change_of(asked.counts, asked.was)
        except InvalidError as error:
            return self._show(req, resp, visit, asked, error=error)
        self._show(req, resp, visit, asked, change)

    def on_post(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Add or remove nodes until there are as many as wanted; ask before removing."""
        visit = self._site.enter(req, resp)
        posted = read_form(req, visit)
        asked = self._asked(visit, aid, sid, posted.text)
        try:
            change = change_of(asked.counts, asked.was)
            if not change:
                raise InvalidError("there are that many already: change a number first")
            if not change.more and not posted.text("confirmed"):
                return self._show(req, resp, visit, asked, change)
            self._carry_out(visit, asked, change, aid, sid)
        except JobStarted as started:
            # What is to go is asked for when those that come are there.
            back = asked.path if change.more and change.fewer else asked.subject.path
            return visit.go(job_page(started.watch, back))
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            return self._show(req, resp, visit, asked, error=error)
        visit.go(f"{asked.subject.path}#nodes")

    def _asked(self, visit: Visit, aid: int, sid: int, text: Callable[[str], str]) -> _Asked:
        info = visit.api.services.get_state(application=aid, service=sid)
        application = visit.api.applications.get_info(application=aid)
        subject = service_subject(self._site, visit, info, application)
        manager = visit.api.manager(info.type, aid, sid)
        names = [role.name for role in subject.roles if not role.fixed]
        wanted = {name: text(f"count.{name}") for name in names if text(f"count.{name}")}
        return _Asked(
            subject=subject,
            manager=manager,
            counts=by_role(
                [role for role in subject.roles if not role.fixed], manager.list_nodes(), wanted
            ),
            was={name: text(f"was.{name}") for name in names},
            cloud=text("cloud"),
        )

    def _carry_out(self, visit: Visit, asked: _Asked, change: Change, aid: int, sid: int) -> None:
        channel = visit.api.service_channel(aid, sid, CHANGE_TIMEOUT)
        if change.more:
            arguments: dict[str, Any] = {"nodes": dict(change.more)}
            if asked.cloud:
                arguments["cloud"] = asked.cloud
            channel.send(asked.subject.operation("add_nodes"), arguments)
        else:
            removal = asked.subject.operation("remove_nodes")
            channel.send(removal, {"nodes": dict(change.fewer)})

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        asked: _Asked,
        change: Change | None = None,
        error: ConPaaSError | None = None,
    ) -> None:
        overview = self._site.ask(visit)["overview"]
        change = change or Change()
        told = Plan()
        if error is None:
            told = plan(change, asked.manager, charged=overview.user.credit is not None)
        removing = change if change.fewer and not change.more and not told.refusal else None
        self._site.show(
            req, resp, visit, "scale.html",
            title="Remove nodes" if removing else "Change the number of nodes",
            overview=overview, crumbs=asked.subject.crumbs, subject=asked.subject,
            counts=asked.counts, removing=removing, plan=told, error=error,
            total=sum(change.fewer.values()), clouds=asked.subject.choices.get("cloud", ()),
            cloud=asked.cloud, status=error.status if error else 200,
        )  # fmt: skip
