"""The account of whoever looks: profile, password, certificate, the end of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from conpaas.certificates import new_key, signing_request
from conpaas.errors import InvalidError, UnauthenticatedError
from conpaas.frontend.forms import Form
from conpaas.frontend.pages.several_forms import FormsPage, Turn, send
from conpaas.frontend.posted import Posted, read_form
from conpaas.frontend.site import Site, Told
from conpaas.rpc import JobStarted
from conpaas.web import Request, Response

PATH = "/account"
#: The pages of the account.
TABS = (
    ("Profile", PATH),
    ("Sessions and tokens", f"{PATH}/tokens"),
    ("SSH keys", f"{PATH}/keys"),
    ("Record", f"{PATH}/record"),
)
CRUMBS = (("Dashboard", "/"),)
AGAIN = "password-again"  #: the field in which a new password is typed once more


class AccountPage(FormsPage):
    """``/account``."""

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the forms of the profile, the password, and the end of the account."""
        user = told["overview"].user
        values = {
            "email": user.email, "fname": user.fname, "lname": user.lname,
            "affiliation": user.affiliation,
        }  # fmt: skip
        profile = self.form(
            PATH, "profile", "set_config", preset=("user",), values=values, submit="Save"
        )
        password = self.form(PATH, "password", "passwd", submit="Change password")
        delete = self.form(
            PATH, "delete", "delete", preset=("user",), must_type=user.username,
            submit="Delete my account",
        )  # fmt: skip
        return {"profile": name_fields(profile), "password": password, "delete": delete}

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Change the account."""
        visit = turn.visit
        if form.mark == "profile":
            send(visit, form, arguments)
            visit.tell_next("Profile saved.")
        elif form.mark == "password":
            require_same(form, turn.posted, "new_password")
            send(visit, form, arguments)
            visit.tell_next(
                "Password changed. You stay logged in here; every other session and token of "
                "yours and all your certificates have ended."
            )
        else:
            try:
                send(visit, form, arguments, user=form.must_type)
            except JobStarted as started:
                return visit.go(f"{PATH}/end/{int(started.watch.rsplit('/', 1)[-1])}")
        visit.go(PATH)

    def show(self, turn: Turn) -> None:
        """Show the profile."""
        self.site.show(
            turn.req, turn.resp, turn.visit, "account.html",
            title="Account", overview=turn.told["overview"], crumbs=CRUMBS, tabs=TABS,
            here_tab=PATH, forms=turn.forms, status=turn.status,
        )  # fmt: skip


class Certificate:
    """``/account/certificate``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with a new key and a certificate for it; nothing of the key is kept here."""
        visit = self._site.enter(req, resp)
        read_form(req, visit)
        key = new_key()
        signed = visit.api.users.sign_certificate(csr=signing_request(key))
        resp.content_type = "application/zip"
        resp.downloadable_as = "conpaas-certificate.zip"
        resp.data = archive(
            {"key.pem": key, "cert.pem": signed.certificate, "ca_cert.pem": signed.ca}
        )


class EndPage:
    """``/account/end/{number}``: the account's deletion, to its end."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: Request, resp: Response, number: int) -> None:
        """Show how far it is; whoever is gone is logged out."""
        visit = self._site.visit(req, resp)
        try:
            if not visit.token:
                raise UnauthenticatedError("log in first")
            told = self._site.ask(visit, report=lambda: visit.api.job_report(number))
            report = told["report"]
        except UnauthenticatedError:
            if visit.is_live:
                raise  # our script comes again as a person would
            visit.end()
            return self._site.show(req, resp, visit, "account_gone.html", title="Goodbye")
        ended = report.state.ended
        self._site.show(
            req, resp, visit, "account_end.html",
            # Whoever is shut out by now is told of the job, and of nothing else.
            title="Delete account", overview=told.get("overview"), crumbs=CRUMBS, busy=not ended,
            report=report, failed=ended, error=(report.error or {}).get("message", ""),
        )  # fmt: skip


def name_fields(form: Form) -> Form:
    """Give the fields of a profile the names that people know."""
    labels = {"fname": "First name", "lname": "Last name", "email": "E-mail address"}
    for one in form.fields:
        one.label = labels.get(one.name, one.label)
        if one.help in labels.values():
            one.help = ""
    return form


def require_same(form: Form, posted: Posted, name: str) -> None:
    """Raise InvalidError when a new password was not typed the same twice."""
    if posted.text(name) == posted.text(AGAIN):
        return
    text = "the two passwords are not the same"
    form.errors.append((again_id(form), f"New password again: {text}"))
    raise InvalidError(text)


def again_id(form: Form) -> str:
    """Return the id of the field in which a new password is typed once more."""
    return f"field-{form.mark}-{AGAIN}"


def archive(files: Mapping[str, str]) -> bytes:
    """Return a zip of texts that only their owner may read once they are unpacked."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100600 << 16
            into.writestr(info, content)
    return made.getvalue()
