"""The first page: everything that is yours, and what it is doing."""

from __future__ import annotations

from conpaas.api import ApplicationOverview
from conpaas.errors import ConPaaSError
from conpaas.frontend.forms import Form, operation_form
from conpaas.frontend.posted import read_form
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit
from conpaas.rpc import operations
from conpaas.state import State
from conpaas.web import Request, Response


class Dashboard:
    """``/``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show all applications."""
        visit = self._site.enter(req, resp)
        overview = self._site.ask(visit)["overview"]
        applications = overview.applications
        self._site.show(
            req, resp, visit, "dashboard.html",
            title="Dashboard", overview=overview,
            busy=any(is_passing(one) for one in applications),
            form=creation(self._site, free_name([one.name for one in applications])),
        )  # fmt: skip


class NewApplication:
    """``/applications/new``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the form."""
        visit = self._site.enter(req, resp)
        overview = self._site.ask(visit)["overview"]
        name = free_name([one.name for one in overview.applications])
        self._show(req, resp, visit, creation(self._site, name))

    def on_post(self, req: Request, resp: Response) -> None:
        """Create the application."""
        visit = self._site.enter(req, resp)
        posted = read_form(req, visit)
        form = creation(self._site)
        try:
            made = visit.api.applications.create(**form.arguments(posted))
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            form.blame(error)
            form.fill(posted)
            return self._show(req, resp, visit, form, error.status)
        visit.tell_next(f"Application '{made.name}' created. Start it to add services.")
        visit.go(f"/applications/{made.aid}")

    def _show(
        self, req: Request, resp: Response, visit: Visit, form: Form, status: int = 200
    ) -> None:
        self._site.show(
            req, resp, visit, "form.html",
            title=form.title, overview=self._site.ask(visit)["overview"],
            crumbs=(("Dashboard", "/"),), form=form, status=status,
        )  # fmt: skip


def creation(site: Site, name: str = "") -> Form:
    """Return the form that creates an application."""
    declared = operations(site.director.declared["application"])["create"]
    return operation_form(
        declared, "/applications/new",
        values={"name": name} if name else {}, title="New application",
        submit="Create application", back="/",
    )  # fmt: skip


def free_name(taken: list[str]) -> str:
    """Return a name for a new application that no other has."""
    number = 1
    while (name := f"New application {number}") in taken:
        number += 1
    return name


def is_passing(application: ApplicationOverview) -> bool:
    """Whether an application or a service of it is changing."""
    states = [application.status, *(service.status for service in application.services)]
    return any(state in State.__members__ and State(state).passing for state in states)
