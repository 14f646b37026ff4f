"""Logs, and what they grow by: of a manager, of a service on it, and of each of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from conpaas.errors import NotFoundError
from conpaas.frontend.pages.operations import service_subject
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit
from conpaas.rpc import Piece
from conpaas.web import Request, Response

LINES = 500  #: shown at first
Read = Callable[..., Piece]


class LogPage:
    """What pages with a log share: ``?after=…`` answers with what it has grown by, as JSON."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def more(self, req: Request, resp: Response, read: Read) -> bool:
        """Answer what a log has grown by, if that is asked; say whether it was."""
        after = req.get_param("after")
        if after is None:
            return False
        piece = read(lines=LINES, after=after)
        resp.media = {"text": piece.text, "after": piece.after}
        resp.content_type = "application/json"
        return True

    def show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        read: Read,
        *,
        describe: Callable[[Any], dict[str, Any]],
        **questions: Callable[[], Any],
    ) -> None:
        """Show the end of a log.

        Args:
            req: The request.
            resp: The answer.
            visit: Who asks.
            read: Reads the log.
            describe: Returns title, crumbs and what else the template shows, from the answers.
            questions: What is asked at the same time.
        """
        told = self.site.ask(visit, log=lambda: read(lines=LINES, after=None), **questions)
        piece = told.get("log", Piece("", ""))
        values = {"logs": (), "chosen": "", **describe(told)}
        self.site.show(
            req, resp, visit, "log.html", overview=told["overview"],
            log=piece.text, after=piece.after, error=told.error("log"), **values,
        )  # fmt: skip


class ApplicationLog(LogPage):
    """``/applications/{aid}/log``: of its manager."""

    def on_get(self, req: Request, resp: Response, aid: int) -> None:
        """Show it."""
        visit = self.site.enter(req, resp)
        applications = visit.api.applications
        read = partial(applications.read_log, application=aid)
        if self.more(req, resp, read):
            return

        def describe(told: Any) -> dict[str, Any]:
            info = told["info"]
            return {
                "title": "Manager log",
                "about": f"What the manager of {info.name} says.",
                "crumbs": (("Dashboard", "/"), (info.name, f"/applications/{aid}")),
            }

        self.show(
            req, resp, visit, read, describe=describe,
            info=lambda: applications.get_info(application=aid),
        )  # fmt: skip


class ServiceLog(LogPage):
    """``/applications/{aid}/services/{sid}/log``: what the manager notes of it."""

    def on_get(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Show it."""
        visit = self.site.enter(req, resp)
        info = visit.api.services.get_state(application=aid, service=sid)
        read = visit.api.manager(info.type, aid, sid).read_log
        if self.more(req, resp, read):
            return

        def describe(told: Any) -> dict[str, Any]:
            subject = service_subject(self.site, visit, info, told["application"])
            return {
                "title": "Service log",
                "about": f"What the manager notes of {info.name}.",
                "crumbs": subject.crumbs,
            }

        self.show(
            req, resp, visit, read, describe=describe,
            application=lambda: visit.api.applications.get_info(application=aid),
        )  # fmt: skip


class NodeLog(LogPage):
    """``/applications/{aid}/services/{sid}/nodes/{node}``: what a node offers."""

    def on_get(self, req: Request, resp: Response, aid: int, sid: int, node: str) -> None:
        """Show one of its logs."""
        visit = self.site.enter(req, resp)
        chosen = req.get_param("file") or "agent.log"
        info = visit.api.services.get_state(application=aid, service=sid)
        manager = visit.api.manager(info.type, aid, sid)
        read = partial(manager.read_agent_log, agent_id=node, filename=chosen)
        if self.more(req, resp, read):
            return

        def describe(told: Any) -> dict[str, Any]:
            found = next((one for one in told["nodes"] if one.agent_id == node), None)
            if found is None:
                raise NotFoundError(f"{info.name} has no node {node[:60]!r} (any more)")
            subject = service_subject(self.site, visit, info, told["application"])
            return {
                "title": node,
                "about": f"{found.role} node at {found.ip}, cloud {found.cloud}.",
                "crumbs": subject.crumbs,
                "logs": told.get("logs", ()),
                "chosen": chosen,
            }

        self.show(
            req, resp, visit, read, describe=describe,
            application=lambda: visit.api.applications.get_info(application=aid),
            nodes=manager.list_nodes,
            logs=lambda: manager.list_agent_logs(agent_id=node),
        )  # fmt: skip
