"""The frontend's web application."""

from __future__ import annotations

import falcon

from conpaas.channel import Sender
from conpaas.front import METRICS_PATH
from conpaas.frontend.assets import Assets
from conpaas.frontend.calls import Director
from conpaas.frontend.pages.account import AccountPage, Certificate, EndPage
from conpaas.frontend.pages.administration import InvitationsPage, UserPage, UsersPage
from conpaas.frontend.pages.applications import AddService, ApplicationPage
from conpaas.frontend.pages.credentials import KeysPage, TokensPage
from conpaas.frontend.pages.dashboard import Dashboard, NewApplication
from conpaas.frontend.pages.errors import Errors
from conpaas.frontend.pages.jobs import JobList, JobPage
from conpaas.frontend.pages.logs import ApplicationLog, NodeLog, ServiceLog
from conpaas.frontend.pages.metrics import FrontendMetrics
from conpaas.frontend.pages.operations import (
    ApplicationOperations,
    ObjectOperations,
    ServiceOperations,
)
from conpaas.frontend.pages.records import AuditPage
from conpaas.frontend.pages.scale import Scale
from conpaas.frontend.pages.services import ServicePage
from conpaas.frontend.pages.sessions import Login, Logout, Register
from conpaas.frontend.pages.system import (
    AboutPage,
    CloudsPage,
    HelpPage,
    MachinesPage,
    ObjectPage,
    PluginPages,
)
from conpaas.frontend.posted import accept_forms
from conpaas.frontend.service_types import service_type
from conpaas.frontend.site import Headers, Site
from conpaas.frontend.templating import directories, environment
from conpaas.plugins import Plugins
from conpaas.web import NUMBER, App, Remainder

APPLICATION = "/applications/" + NUMBER.replace("number", "aid")
SERVICE = APPLICATION + "/services/" + NUMBER.replace("number", "sid")

#: The account menu: titles and addresses.  Pages of plugins follow.
MENU = (
    ("Account", "/account"),
    ("Machines", "/machines"),
    ("Clouds", "/clouds"),
    ("Jobs", "/jobs"),
    ("About", "/about"),
)
#: What only administrators see in it.
ADMINISTRATION = (("Users", "/users"), ("Invitations", "/invitations"), ("Audit", "/audit"))


def make_app(sender: Sender, director_url: str, plugins: Plugins, metrics_token: str = "") -> App:
    """Return the application that serves the pages.

    Args:
        sender: Carries calls to the director.
        director_url: Where it is.
        plugins: Those that are installed here.
        metrics_token: Whoever shows it may read /metrics; empty: nobody.
    """
    assets = Assets(directories(plugins, "static"))
    templates = environment(
        directories(plugins, "templates"), assets, lambda name: service_type(plugins, name)
    )
    site = Site(Director(sender, director_url, plugins), plugins, templates)
    metrics = FrontendMetrics(metrics_token)
    app: App = falcon.App(
        middleware=[metrics.requests, Headers(), Remainder()], media_type="text/html"
    )
    app.req_options.strip_url_path_trailing_slash = False
    app.req_options.keep_blank_qs_values = True
    accept_forms(app)
    Errors(site).install(app)
    app.add_route("/static/{name:path}", assets)
    app.add_route(METRICS_PATH, metrics)
    _add_pages(app, site)
    pages = PluginPages(site)
    app.add_route("/plugins/{plugin}/{path:path}", pages)
    templates.globals["credit_page"] = pages.path("credits")
    templates.globals["menu"] = lambda admin: [
        *MENU, *(ADMINISTRATION if admin else ()), *pages.links(admin)
    ]  # fmt: skip
    return app


def _add_pages(app: App, site: Site) -> None:
    app.add_route("/", Dashboard(site))
    app.add_route("/login", Login(site))
    app.add_route("/logout", Logout(site))
    app.add_route("/register", Register(site))
    app.add_route("/applications/new", NewApplication(site))
    app.add_route(APPLICATION, ApplicationPage(site))
    app.add_route(f"{APPLICATION}/log", ApplicationLog(site))
    app.add_route(f"{APPLICATION}/add", AddService(site))
    app.add_route(f"{APPLICATION}/operations/{{operation}}", ApplicationOperations(site))
    app.add_route(f"{APPLICATION}/jobs/{NUMBER}", JobPage(site))
    app.add_route(SERVICE, ServicePage(site))
    app.add_route(f"{SERVICE}/log", ServiceLog(site))
    app.add_route(f"{SERVICE}/scale", Scale(site))
    app.add_route(f"{SERVICE}/nodes/{{node}}", NodeLog(site))
    app.add_route(f"{SERVICE}/operations/{{operation}}", ServiceOperations(site))
    app.add_route("/jobs", JobList(site))
    app.add_route(f"/jobs/{NUMBER}", JobPage(site))
    app.add_route("/clouds", CloudsPage(site))
    app.add_route("/machines", MachinesPage(site))
    app.add_route("/about", AboutPage(site))
    app.add_route("/help", HelpPage(site))
    app.add_route("/account", AccountPage(site))
    app.add_route("/account/certificate", Certificate(site))
    app.add_route(f"/account/end/{NUMBER}", EndPage(site))
    app.add_route("/account/tokens", TokensPage(site))
    app.add_route("/account/keys", KeysPage(site))
    app.add_route("/account/record", AuditPage(site, own=True))
    app.add_route("/users", UsersPage(site))
    app.add_route(f"/users/{NUMBER.replace('number', 'uid')}", UserPage(site))
    app.add_route("/invitations", InvitationsPage(site))
    app.add_route("/audit", AuditPage(site))
    app.add_route("/objects/{name}", ObjectPage(site))
    app.add_route("/objects/{name}/operations/{operation}", ObjectOperations(site))
