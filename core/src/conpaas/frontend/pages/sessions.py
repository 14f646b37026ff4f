"""Coming and going: logging in, registering, logging out."""

from __future__ import annotations

import contextlib
from typing import Any

from conpaas.api import Registration
from conpaas.errors import ConPaaSError, DeniedError, InvalidError, UnauthenticatedError
from conpaas.frontend.forms import Form, operation_form
from conpaas.frontend.posted import read_form
from conpaas.frontend.site import Site
from conpaas.frontend.visit import Visit, within_site
from conpaas.rpc import operations
from conpaas.web import Request, Response


class Login:
    """``/login``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the form."""
        visit = self._site.visit(req, resp)
        self._show(req, resp, visit, ended=req.get_param("ended") is not None)

    def on_post(self, req: Request, resp: Response) -> None:
        """Begin a session."""
        visit = self._site.visit(req, resp)
        posted = read_form(req, visit)
        username, password = posted.text("username").strip(), posted.text("password")
        try:
            if not username or not password:
                raise InvalidError("type both your username and your password")
            log_in(self._site, visit, username, password)
        except ConPaaSError as error:
            if error.status >= 500:
                raise
            return self._show(req, resp, visit, username=username, error=error)
        visit.go(within_site(posted.text("next")))

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        *,
        username: str = "",
        error: ConPaaSError | None = None,
        ended: bool = False,
    ) -> None:
        registration = _registration(visit)
        self._site.show(
            req, resp, visit, "login.html",
            title="Log in", username=username, error=error, ended=ended and error is None,
            status=error.status if error else 200,
            next=within_site(req.get_param("next")),
            may_register=registration is not None and registration.policy != "closed",
        )  # fmt: skip


class Logout:
    """``/logout``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_post(self, req: Request, resp: Response) -> None:
        """End the session, at the director too."""
        visit = self._site.enter(req, resp)
        read_form(req, visit)
        with contextlib.suppress(UnauthenticatedError):  # it has ended already
            visit.api.users.close_session()
        visit.end()
        visit.go("/login")


class Register:
    """``/register``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response) -> None:
        """Show the form."""
        visit = self._site.visit(req, resp)
        self._show(req, resp, visit, self._form(invitation=req.get_param("invitation") or ""))

    def on_post(self, req: Request, resp: Response) -> None:
        """Register, and log in at once."""
        visit = self._site.visit(req, resp)
        form = self._form()
        posted = read_form(req, visit)
        again = ""
        try:
            arguments = form.arguments(posted)
            if posted.text("password") != posted.text("password-again"):
                again = "the two passwords are not the same"
                form.errors.append(("field-password-again", f"Password again: {again}"))
                raise InvalidError(again)
            visit.api.users.register(**arguments)
        except ConPaaSError as error:
            if error.status >= 500:
                raise
            form.blame(error)
            form.fill(posted)
            return self._show(req, resp, visit, form, error.status, again)
        log_in(self._site, visit, arguments["username"], arguments["password"])
        visit.tell_next(f"Welcome, {arguments['username']}.")
        visit.go("/")

    def _form(self, **values: Any) -> Form:
        declared = operations(self._site.director.declared["user"])["register"]
        return operation_form(
            declared, "/register", values=values, title="Register", submit="Register"
        )

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        form: Form,
        status: int = 200,
        again: str = "",
    ) -> None:
        registration = visit.api.users.get_registration()
        if registration.policy == "closed":
            raise DeniedError("nobody can register here: ask an administrator for an account")
        for one in form.fields:
            if one.name == "invitation":
                one.required = registration.policy == "invitation"
                one.hidden = not one.required
        self._site.show(
            req, resp, visit, "register.html",
            title="Register", form=form, registration=registration, status=status,
            again_error=again,
        )  # fmt: skip


def log_in(site: Site, visit: Visit, username: str, password: str) -> None:
    """Begin a session for a visit.

    Raises:
        UnauthenticatedError: The username or the password is wrong.
    """
    api = site.director.with_password(username, password, visit.address)
    visit.begin(api.users.open_session().value)


def _registration(visit: Visit) -> Registration | None:
    try:
        return visit.api.users.get_registration()
    except ConPaaSError:
        return None  # whoever has an account logs in all the same
