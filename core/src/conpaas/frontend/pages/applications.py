"""The page of an application, its log, and the choice of what to add to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from conpaas.errors import ConPaaSError, NotFoundError
from conpaas.frontend.pages.operations import application_subject
from conpaas.frontend.posted import read_form
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit
from conpaas.rpc import JobReport
from conpaas.state import STARTABLE, State
from conpaas.web import Request, Response

LATEST = 12  #: rows of what happened


@dataclass(frozen=True)
class Job:
    """A job, and where its page is."""

    report: JobReport
    path: str


class ApplicationPage:
    """``/applications/{aid}``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int) -> None:
        """Show the application."""
        visit = self._site.enter(req, resp)
        api = visit.api
        told = self._site.ask(
            visit,
            info=lambda: api.applications.get_info(application=aid),
            services=lambda: api.services.list(application=aid),
            machines=lambda: api.machines.list(application=aid),
            history=lambda: api.applications.get_history(application=aid),
            jobs=api.jobs.list,
            manager_jobs=lambda: api.jobs.list(application=aid),
        )
        info, services = told["info"], told["services"]
        machines = [m for m in told.get("machines", ()) if m.state != "gone"]
        subject = application_subject(visit, aid, info)
        jobs = latest_jobs(aid, told.get("jobs", ()), told.get("manager_jobs", ()))
        states = [info.status, *(service.status for service in services)]
        self._site.show(
            req, resp, visit, "application.html",
            title=info.name, overview=told["overview"], crumbs=(("Dashboard", "/"),),
            busy=any(is_passing(state) for state in states)
            or any(not job.report.state.ended for job in jobs),
            info=info, services=services, subject=subject, jobs=jobs[:LATEST],
            machines=machines, nodes=Counter(machine.sid for machine in machines),
            manager=next((m for m in machines if m.sid == 0), None),
            history=tuple(reversed(told.get("history", ())))[:LATEST],
            startable=info.status in STARTABLE, is_running=info.status in ("RUNNING", "ADAPTING"),
            clouds=subject.choices.get("cloud", ()),
        )  # fmt: skip


class AddService:
    """``/applications/{aid}/add``: a tile for each service type."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, aid: int) -> None:
        """Show what can be added."""
        visit = self._site.enter(req, resp)
        self._show(req, resp, visit, aid)

    def on_post(self, req: Request, resp: Response, aid: int) -> None:
        """Add a service and go to its page."""
        visit = self._site.enter(req, resp)
        posted = read_form(req, visit)
        kind, name = posted.text("service_type"), posted.text("name").strip()
        try:
            if not kind:
                raise NotFoundError("choose what to add")
            made = visit.api.services.add(service_type=kind, application=aid, name=name or None)
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            return self._show(req, resp, visit, aid, error=error, chosen=kind, name=name)
        visit.tell_next(f"Service '{made.name}' added. Start it when you are ready.")
        visit.go(f"/applications/{aid}/services/{made.sid}")

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        aid: int,
        error: ConPaaSError | None = None,
        chosen: str = "",
        name: str = "",
    ) -> None:
        api = visit.api
        told = self._site.ask(
            visit,
            info=lambda: api.applications.get_info(application=aid),
            types=api.services.get_types,
        )
        info = told["info"]
        self._site.show(
            req, resp, visit, "add_service.html",
            title="Add a service", overview=told["overview"],
            crumbs=(("Dashboard", "/"), (info.name, f"/applications/{aid}")),
            info=info, types=told["types"], error=error, chosen=chosen, name=name,
            status=error.status if error else 200,
        )  # fmt: skip


def is_passing(state: Any) -> bool:
    """Whether a state passes by itself."""
    return state in State.__members__ and State(state).passing


def latest_jobs(aid: int, director: Any, manager: Any, sid: int | None = None) -> list[Job]:
    """Return the jobs of an application, or of one service of it, newest first."""
    own = f"application {aid}"
    found = [
        Job(report, f"/jobs/{report.id}")
        for report in director
        if (report.target == own and sid is None)
        or (report.target.endswith(f" of {own}") and _is_of(report.target, sid))
    ]
    found += [
        Job(report, f"/applications/{aid}/jobs/{report.id}")
        for report in manager
        if _is_of(report.target, sid)
    ]
    return sorted(found, key=lambda job: job.report.created, reverse=True)


def _is_of(target: str, sid: int | None) -> bool:
    return sid is None or target.split(" of ")[0] == f"service {sid}"
