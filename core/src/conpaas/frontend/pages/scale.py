"""Scaling: how many nodes each role shall have, in one form."""

from __future__ import annotations

from collections import Counter
from typing import Any

from conpaas.channel import HttpChannel
from conpaas.errors import ConPaaSError, InvalidError
from conpaas.frontend.calls import CHANGE_TIMEOUT
from conpaas.frontend.looks import count
from conpaas.frontend.pages.operations import Subject, job_page, service_subject
from conpaas.frontend.posted import Posted, read_form
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit
from conpaas.rpc import JobStarted
from conpaas.schema import from_text
from conpaas.web import Request, Response


class Scale:
    """``/applications/{aid}/services/{sid}/scale``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Go to the service's page, where the form is."""
        visit = self._site.enter(req, resp)
        visit.go(f"/applications/{aid}/services/{sid}#nodes")

    def on_post(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Add or remove nodes until there are as many as wanted; ask before removing."""
        visit = self._site.enter(req, resp)
        posted = read_form(req, visit)
        info = visit.api.services.get_state(application=aid, service=sid)
        application = visit.api.applications.get_info(application=aid)
        subject = service_subject(self._site, visit, info, application)
        nodes = visit.api.manager(info.type, aid, sid).list_nodes()
        there = Counter(node.machine_role for node in nodes)
        wanted = {role.name: posted.text(f"count.{role.name}") for role in _scalable(subject)}
        try:
            more, fewer = _difference(posted, wanted, there)
            if fewer and not posted.text("confirmed"):
                return self._show(req, resp, visit, subject, there, wanted, fewer=fewer)
            channel = visit.api.service_channel(aid, sid, CHANGE_TIMEOUT)
            self._change(channel, subject, more, fewer, posted.text("cloud"))
        except JobStarted as started:
            return visit.go(job_page(started.watch, subject.path))
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            return self._show(req, resp, visit, subject, there, wanted, error=error)
        visit.go(f"{subject.path}#nodes")

    def _change(
        self,
        channel: HttpChannel,
        subject: Subject,
        more: dict[str, int],
        fewer: dict[str, int],
        cloud: str,
    ) -> None:
        if more:
            arguments: dict[str, Any] = {"nodes": more}
            if cloud:
                arguments["cloud"] = cloud
            channel.send(subject.operation("add_nodes"), arguments)
        if fewer:
            channel.send(subject.operation("remove_nodes"), {"nodes": fewer})

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        subject: Subject,
        there: Counter[str],
        wanted: dict[str, str],
        fewer: dict[str, int] | None = None,
        error: ConPaaSError | None = None,
    ) -> None:
        told = self._site.ask(visit)
        self._site.show(
            req, resp, visit, "scale.html",
            title="Remove nodes" if fewer else "Change the number of nodes",
            overview=told["overview"], crumbs=subject.crumbs, subject=subject,
            roles=_scalable(subject), there=there, wanted=wanted, error=error,
            gone=in_words(fewer or {}), total=sum((fewer or {}).values()),
            clouds=subject.choices.get("cloud", ()), status=error.status if error else 200,
        )  # fmt: skip


def in_words(counts: dict[str, int]) -> str:
    """Return counts of nodes in words: ``2 backend nodes and 1 web node``."""
    return " and ".join(count(number, f"{role} node") for role, number in counts.items())


def _scalable(subject: Subject) -> list[Any]:
    return [role for role in subject.roles if not role.fixed]


def _difference(
    posted: Posted, wanted: dict[str, str], there: Counter[str]
) -> tuple[dict[str, int], dict[str, int]]:
    more: dict[str, int] = {}
    fewer: dict[str, int] = {}
    for role, text in wanted.items():
        number = from_text(text.strip() or "0", int, role)
        seen = posted.text(f"was.{role}")
        if number < 0:
            raise InvalidError(f"{role}: there cannot be {number} nodes")
        if seen and seen != str(there[role]):
            raise InvalidError(
                f"there are {there[role]} {role} nodes by now, not {seen}: say again how many "
                "there shall be"
            )
        if number > there[role]:
            more[role] = number - there[role]
        elif number < there[role]:
            fewer[role] = there[role] - number
    if more and fewer:
        raise InvalidError("add nodes or remove some, one after the other: not both at once")
    if not more and not fewer:
        raise InvalidError("there are that many already: change a number first")
    return more, fewer
