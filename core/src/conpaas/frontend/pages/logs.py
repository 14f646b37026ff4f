"""The logs of a service: what its manager notes of it, and what its nodes offer."""

from __future__ import annotations

from conpaas.errors import NotFoundError
from conpaas.frontend.pages.operations import service_subject
from conpaas.frontend.site import Site
from conpaas.web import Request, Response

LINES = 500  #: shown at once


class ServiceLog:
    """``/applications/{aid}/services/{sid}/log``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Show the end of it."""
        visit = self._site.enter(req, resp)
        info = visit.api.services.get_state(application=aid, service=sid)
        manager = visit.api.manager(info.type, aid, sid)
        told = self._site.ask(
            visit,
            application=lambda: visit.api.applications.get_info(application=aid),
            log=lambda: manager.get_log(lines=LINES),
        )
        subject = service_subject(self._site, visit, info, told["application"])
        self._site.show(
            req, resp, visit, "log.html",
            title="Service log", overview=told["overview"], crumbs=subject.crumbs,
            log=told.get("log", ""), error=told.error("log"), logs=(), chosen="",
            about=f"What the manager notes of {info.name}.",
        )  # fmt: skip


class NodeLog:
    """``/applications/{aid}/services/{sid}/nodes/{node}``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int, sid: int, node: str) -> None:
        """Show one of a node's logs."""
        visit = self._site.enter(req, resp)
        chosen = req.get_param("file") or "agent.log"
        info = visit.api.services.get_state(application=aid, service=sid)
        manager = visit.api.manager(info.type, aid, sid)
        told = self._site.ask(
            visit,
            application=lambda: visit.api.applications.get_info(application=aid),
            nodes=manager.list_nodes,
            logs=lambda: manager.list_agent_logs(agent_id=node),
            log=lambda: manager.get_agent_log(agent_id=node, filename=chosen, lines=LINES),
        )
        found = next((one for one in told["nodes"] if one.agent_id == node), None)
        if found is None:
            raise NotFoundError(f"{info.name} has no node {node[:60]!r} (any more)")
        subject = service_subject(self._site, visit, info, told["application"])
        self._site.show(
            req, resp, visit, "log.html",
            title=node, overview=told["overview"], crumbs=subject.crumbs,
            log=told.get("log", ""), error=told.error("log"), logs=told.get("logs", ()),
            chosen=chosen, about=f"{found.role} node at {found.ip}, cloud {found.cloud}.",
        )  # fmt: skip
