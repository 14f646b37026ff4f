"""The page of a job: its steps as they happen, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conpaas.api import Jobs
from conpaas.errors import ConPaaSError
from conpaas.frontend import results
from conpaas.frontend.forms import link, operation_form
from conpaas.frontend.looks import in_words
from conpaas.frontend.service_types import service_operations, service_type
from conpaas.frontend.site import Crumb, Site
from conpaas.frontend.visit import Visit, within_site
from conpaas.rpc import JobReport, JobState, Operation, operations
from conpaas.service_type import Role
from conpaas.web import Request, Response

LONGEST_ADDRESS = 2000  #: characters
_TARGET = re.compile(r"(?:service (?P<sid>\d+)(?: of )?)?(?:application (?P<aid>\d+))?")


@dataclass(frozen=True)
class Target:
    """What a job changes, as far as its report tells."""

    path: str
    name: str
    crumbs: tuple[Crumb, ...]
    operation: Operation | None
    roles: Sequence[Role] = ()


class JobPage:
    """``/jobs/{number}`` and ``/applications/{aid}/jobs/{number}``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, number: int, aid: int | None = None) -> None:
        """Show the job."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(
            visit, report=lambda: visit.api.jobs.get(job=number, application=aid)
        )
        report: JobReport = told["report"]
        target = self._target(visit, report, aid)
        back = within_site(req.get_param("back"), target.path)
        done = report.state is JobState.DONE
        shown = results.shown(target.operation, report.result) if target.operation else None
        self._site.show(
            req, resp, visit, "job.html",
            title=in_words(report.operation), overview=told["overview"],
            crumbs=target.crumbs, busy=not report.state.ended, report=report, target=target,
            back="/" if done and report.operation == "delete" else back,
            steps=getattr(report, "steps", ()), is_done=done,
            failed=report.state.ended and not done,
            sentence=_sentence(report, target) if done else "",
            error=(report.error or {}).get("message", ""),
            again=_again(report, target),
            result=shown if done and shown and shown.kind == "table" else None,
            refresh=not report.state.ended,
        )  # fmt: skip

    def _target(self, visit: Visit, report: JobReport, aid: int | None) -> Target:
        found = _TARGET.match(report.target)
        sid = found["sid"] if found else None
        aid = aid or (int(found["aid"]) if found and found["aid"] else None)
        crumbs: list[Crumb] = [("Dashboard", "/")]
        if aid is None:
            return Target("/", report.target, tuple(crumbs), None)
        path = f"/applications/{aid}"
        try:
            info = visit.api.applications.get_info(application=aid)
        except ConPaaSError:
            return Target("/", report.target, tuple(crumbs), None)  # it has been deleted
        crumbs.append((info.name, path))
        declared = visit.api.operations("application")
        if sid is None:
            return Target(path, info.name, tuple(crumbs), declared.get(report.operation))
        try:
            service = visit.api.services.get_state(application=aid, service=int(sid))
        except ConPaaSError:
            return Target(path, report.target, tuple(crumbs), None)
        path = f"{path}/services/{sid}"
        crumbs.append((service.name, path))
        of_service = {
            **service_operations(self._site.plugins, service.type),
            **visit.api.operations("service"),
        }
        roles = service_type(self._site.plugins, service.type).roles
        return Target(path, service.name, tuple(crumbs), of_service.get(report.operation), roles)


class JobList:
    """``/jobs``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the latest jobs of the director."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(visit, jobs=visit.api.jobs.list)
        overview = told["overview"]
        # What managers ask for is a part of what people asked for.
        jobs = [
            job
            for job in told["jobs"]
            if overview.user.admin or not job.target.startswith("machines ")
        ]
        self._site.show(
            req, resp, visit, "jobs.html",
            title="Jobs", overview=overview, crumbs=(("Dashboard", "/"),),
            busy=any(not job.state.ended for job in jobs), jobs=jobs,
            about=operations(Jobs)["list"].summary,
        )  # fmt: skip


def _again(report: JobReport, target: Target) -> str:
    """Return the address of the form that asks for a job again, with what it was asked with."""
    if target.operation is None:
        return ""
    path = f"{target.path}/operations/{report.operation}"
    form = operation_form(
        target.operation, path, preset=("application", "service"), values=report.arguments,
        roles=target.roles,
    )  # fmt: skip
    given = {
        one.name: one.value
        for derived in form.derived
        if derived.parameter.name in report.arguments
        for one in derived.fields
    }
    address = link(path, **given)
    return address if len(address) <= LONGEST_ADDRESS else path


def _sentence(report: JobReport, target: Target) -> str:
    if target.operation is None or not target.operation.done:
        return ""
    # The sentences of services name both by number.
    found = re.findall(r"/(?:applications|services)/(\d+)", target.path)
    numbers = dict(zip(("application", "service"), found, strict=False))
    return results.sentence(target.operation, numbers, report.result)
