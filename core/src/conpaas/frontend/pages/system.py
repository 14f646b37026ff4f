"""What everything runs on: clouds, machines, plugins; and help."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

from conpaas.errors import NotFoundError
from conpaas.frontend.looks import in_words
from conpaas.frontend.page import Page
from conpaas.frontend.pages.operations import ObjectOperations
from conpaas.frontend.site import Site
from conpaas.web import Request, Response

logger = logging.getLogger(__name__)
HOME = (("Dashboard", "/"),)


class CloudsPage:
    """``/clouds``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the places that machines come from."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(
            visit, clouds=visit.api.clouds.list, machines=visit.api.machines.list
        )
        self._site.show(
            req, resp, visit, "clouds.html",
            title="Clouds", overview=told["overview"], crumbs=HOME, clouds=told["clouds"],
            machines=[m for m in told.get("machines", ()) if m.state != "gone"],
        )  # fmt: skip


class MachinesPage:
    """``/machines``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show what runs."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(visit, machines=visit.api.machines.list)
        overview = told["overview"]
        machines = [m for m in told["machines"] if m.state != "gone"]
        self._site.show(
            req, resp, visit, "machines.html",
            title="Machines", overview=overview, crumbs=HOME, machines=machines,
            names={one.aid: one.name for one in overview.applications},
            busy=any(m.state not in ("running", "gone") for m in machines),
        )  # fmt: skip


class AboutPage:
    """``/about``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show versions and plugins, the broken ones with the reason."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(visit, plugins=visit.api.plugins.list)
        self._site.show(
            req, resp, visit, "about.html",
            title="About", overview=told["overview"], crumbs=HOME, plugins=told["plugins"],
            version=importlib.metadata.version("conpaas-core"),
            broken=self._site.plugins.broken, director=self._site.director.url,
        )  # fmt: skip


class HelpPage:
    """``/help``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the words, the states and the shortcuts."""
        visit = self._site.enter(req, resp)
        told = self._site.ask(visit)
        self._site.show(
            req, resp, visit, "help.html",
            title="Help", overview=told["overview"], crumbs=HOME,
        )  # fmt: skip


class ObjectPage:
    """``/objects/{name}``: all operations of an object of the API, whoever brought it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Show the operations."""
        visit = self._site.enter(req, resp)
        found = self._site.director.declared.get(name)
        if found is None:
            raise NotFoundError(f"there is no object {name[:60]!r}")
        told = self._site.ask(visit)
        overview = told["overview"]
        subject = ObjectOperations(self._site).subject(visit, name=name)
        shown: list[Any] = [
            o for o in subject.operations.values() if not o.admin or overview.user.admin
        ]
        self._site.show(
            req, resp, visit, "object.html",
            title=in_words(name), overview=overview, crumbs=HOME, subject=subject,
            about=(found.__doc__ or "").partition("\n")[0], operations=shown,
        )  # fmt: skip


class PluginPages:
    """``/plugins/{plugin}/{path}``: the pages that plugins bring."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pages: dict[tuple[str, str], Page] = {}
        for told in site.plugins.hook.conpaas_pages.get_hookimpls():
            try:
                found = {(told.plugin_name, one.path.strip("/")): one for one in told.function()}
            except Exception:
                # A plugin that fails must not keep all others from being served.
                logger.exception("plugin %s failed at conpaas_pages", told.plugin_name)
                continue
            self._pages |= found

    def on_get(self, req: Request, resp: Response, plugin: str, path: str) -> None:
        """Show one."""
        visit = self._site.enter(req, resp)
        page = self._pages.get((plugin, path.strip("/")))
        if page is None:
            raise NotFoundError("no page has this address")
        query = {k: v if isinstance(v, str) else v[-1] for k, v in req.params.items()}
        told = self._site.ask(visit, values=lambda: page.values(visit.api, query))
        overview = told["overview"]
        if page.admin and not overview.user.admin:
            raise NotFoundError("no page has this address")
        self._site.show(
            req, resp, visit, f"{plugin}/{page.template}",
            title=page.title, overview=overview, crumbs=HOME, **told["values"],
        )  # fmt: skip

    def path(self, plugin: str) -> str:
        """Return the address of a plugin's first page, empty when it has none."""
        found = sorted(path for name, path in self._pages if name == plugin)
        return f"/plugins/{plugin}/{found[0]}" if found else ""

    def links(self, admin: bool) -> list[tuple[str, str]]:
        """Return the title and the address of each page."""
        return [
            (page.title, f"/plugins/{plugin}/{path}")
            for (plugin, path), page in sorted(self._pages.items())
            if admin or not page.admin
        ]
