"""The page of a service: what it does now, what can be done, what happened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from conpaas.errors import ConPaaSError
from conpaas.frontend.pages.applications import LATEST, is_passing, latest_jobs
from conpaas.frontend.pages.operations import Subject, service_subject
from conpaas.frontend.scaling import Plan, by_role, roles_of
from conpaas.frontend.service_types import service_type
from conpaas.frontend.service_view import ServiceView
from conpaas.frontend.site import Site
from conpaas.rpc import Operation
from conpaas.service import Panel
from conpaas.state import State
from conpaas.web import Request, Response

logger = logging.getLogger(__name__)
#: Operations that the page offers by itself, in sections of their own.
PLACED = {
    "start", "stop", "repair", "add_nodes", "remove_nodes", "list_nodes", "get_history",
    "get_log", "list_agent_logs", "get_agent_log", "get_state", "rename", "remove",
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A panel with the place that its section has."""

    panel: Panel
    id: str


class ServicePage:
    """``/applications/{aid}/services/{sid}``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int, sid: int) -> None:
        """Show the service."""
        visit = self._site.enter(req, resp)
        api = visit.api
        info = api.services.get_state(application=aid, service=sid)
        manager = api.manager(info.type, aid, sid)
        told = self._site.ask(
            visit,
            application=lambda: api.applications.get_info(application=aid),
            nodes=manager.list_nodes,
            history=manager.get_history,
            jobs=lambda: api.jobs.list(application=aid),
            director_jobs=api.jobs.list,
        )
        application = told["application"]
        subject = service_subject(self._site, visit, info, application)
        history = told.get("history", [])
        overview = told["overview"]
        # The manager knows its state first.
        state = State(history[-1].state) if history else None
        view = ServiceView(
            application=application, info=info, type=service_type(self._site.plugins, info.type),
            state=state, nodes=told.get("nodes", ()), manager=manager, api=api,
            user=overview.user, subject=subject,
        )  # fmt: skip
        panels = self._panels(view)
        jobs = latest_jobs(aid, told.get("director_jobs", ()), told.get("jobs", ()), sid)
        changing, asking = _rest(subject, panels)
        self._site.show(
            req, resp, visit, "service.html",
            title=info.name, overview=overview, crumbs=subject.crumbs[:-1],
            busy=is_passing(view.state or info.status)
            or any(not job.report.state.ended for job in jobs)
            or any(one.panel.busy for one in panels),
            service=view, info=info, application=application, subject=subject, panels=panels,
            unreachable=told.error("history"), since=history[-1].time if history else None,
            reason=history[-1].reason if history else "",
            history=tuple(reversed(history))[:LATEST], jobs=jobs[:LATEST],
            changing=changing, asking=asking,
            counts=by_role(view.type.roles, view.nodes), roles_of=roles_of, plan=Plan(),
            clouds=subject.choices.get("cloud", ()), cloud="", cancel="",
        )  # fmt: skip

    def _panels(self, view: ServiceView) -> list[Shown]:
        found = []
        for told in self._site.plugins.hook.conpaas_panels.get_hookimpls():
            try:
                panels = told.function(*([view] if told.argnames else [])) or []
            except ConPaaSError as error:
                values = {"message": f"{error}"}
                panels = [Panel(told.plugin_name, "parts/panel_error.html", values)]
            except Exception:
                # A plugin that fails must not take the page of a service along.
                logger.exception("plugin %s failed at conpaas_panels", told.plugin_name)
                values = {"message": "this part of the page has failed; the log tells why"}
                panels = [Panel(told.plugin_name, "parts/panel_error.html", values)]
            found += [
                Shown(panel, f"panel-{told.plugin_name}-{number}")
                for number, panel in enumerate(panels, 1)
            ]
        return sorted(found, key=lambda one: one.panel.order)


def _rest(subject: Subject, panels: Sequence[Shown]) -> tuple[list[Operation], list[Operation]]:
    """Return the operations that have no place yet: those that change something, questions."""
    placed = PLACED | {name for one in panels for name in one.panel.operations}
    rest = [o for name, o in subject.operations.items() if name not in placed]
    return [o for o in rest if not o.reads], [o for o in rest if o.reads]
