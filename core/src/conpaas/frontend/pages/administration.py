"""What administrators look after: users and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from conpaas.errors import DeniedError
from conpaas.frontend.forms import Form
from conpaas.frontend.pages.account import CRUMBS, name_fields, require_same
from conpaas.frontend.pages.several_forms import FormsPage, Turn, send
from conpaas.frontend.site import Told
from conpaas.frontend.visit import Visit
from conpaas.rpc import operations

USERS = "/users"
INVITATIONS = "/invitations"
TABS = (("Users", USERS), ("Invitations", INVITATIONS))


class UsersPage(FormsPage):
    """``/users``: all of them, and the form that adds one."""

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for all users."""
        return {"users": visit.api.users.list}

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the form that creates a user."""
        form = self.form(USERS, "create", "create", submit="Create user")
        return {"create": name_fields(form)}

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Create a user."""
        made = send(turn.visit, form, arguments)
        turn.visit.tell_next(f"User '{made['username']}' created.")
        turn.visit.go(f"{USERS}/{made['uid']}")

    def show(self, turn: Turn) -> None:
        """Show those whose words fit."""
        _require_admin(turn)
        wanted = (turn.req.get_param("q") or "").strip()
        users = [one for one in turn.told["users"] if fits(one, wanted)]
        self.site.show(
            turn.req, turn.resp, turn.visit, "users.html",
            title="Users", overview=turn.told["overview"], crumbs=CRUMBS, tabs=TABS,
            here_tab=USERS, users=users, everybody=len(turn.told["users"]), wanted=wanted,
            form=turn.forms["create"], status=turn.status,
        )  # fmt: skip


class UserPage(FormsPage):
    """``/users/{uid}``."""

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the account, what it owns, and all machines."""
        uid = where["uid"]
        return {
            "theirs": lambda: visit.api.users.get_overview(user=uid),
            "machines": visit.api.machines.list,
        }

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the forms that change the account; those of credit where it is counted."""
        user = told["theirs"].user
        values = {
            "email": user.email, "fname": user.fname, "lname": user.lname,
            "affiliation": user.affiliation,
        }  # fmt: skip
        wanted = {
            "profile": ("set_config", "Save", values),
            "password": ("reset_password", "Reset password", {}),
            "disable": ("disable", "Disable user", {}),
            "enable": ("enable", "Enable user", {}),
            "admin": (
                "set_admin",
                "Make a user like others" if user.admin else "Make an administrator",
                {"admin": "no" if user.admin else "yes"},
            ),
            "credit": ("add_credit", "Add credit", {}),
            "unlimited": (
                "set_unlimited",
                "Charge from now on" if user.credit is None else "Charge no more",
                {"unlimited": "no" if user.credit is None else "yes"},
            ),
            "delete": ("delete", "Delete user", {}),
        }
        path = f"{USERS}/{where['uid']}"
        declared = operations(self.site.director.declared["user"])
        made = {
            name: self.form(
                path, name, operation, preset=("user",), submit=submit, values=values,
                must_type=user.username if operation == "delete" else "",
                back=USERS if operation == "delete" else path,
            )
            for name, (operation, submit, values) in wanted.items()
            if operation in declared
        }  # fmt: skip
        name_fields(made["profile"])
        for name in ("admin", "unlimited"):
            for one in made[name].fields if name in made else ():
                one.hidden = True
        return made

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Change the account."""
        if form.mark == "password":
            require_same(form, turn.posted, "new_password")
        result = send(turn.visit, form, arguments, user=turn.where["uid"])
        done = form.operation.done
        turn.visit.tell_next(done.format_map(result) if done and result else "Done.")
        turn.visit.go(form.back)

    def show(self, turn: Turn) -> None:
        """Show the account."""
        _require_admin(turn)
        theirs, overview = turn.told["theirs"], turn.told["overview"]
        aids = {one.aid: one.name for one in theirs.applications}
        machines = turn.told.get("machines", ())
        self.site.show(
            turn.req, turn.resp, turn.visit, "user.html",
            title=theirs.user.username, overview=overview, crumbs=(*CRUMBS, ("Users", USERS)),
            theirs=theirs, one=theirs.user, forms=turn.forms, status=turn.status,
            is_self=theirs.user.uid == overview.user.uid, names=aids,
            machines=[m for m in machines if m.aid in aids and m.state != "gone"],
            query=quote(theirs.user.username, safe=""),
        )  # fmt: skip


class InvitationsPage(FormsPage):
    """``/invitations``."""

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the invitations, and who may register at all."""
        return {
            "invitations": visit.api.users.list_invitations,
            "registration": visit.api.users.get_registration,
        }

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the form that invites somebody."""
        form = self.form(INVITATIONS, "create", "create_invitation", submit="Invite")
        for one in name_fields(form).fields:
            if one.name == "email":
                one.help = "For whom; with none, whoever has the code may use it, once."
            elif one.name == "days":
                one.label, one.help = "Days until it expires", ""
        return {"create": form}

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Make an invitation, and show it this once."""
        made = send(turn.visit, form, arguments)
        host = turn.req.get_header("Host") or ""
        self.site.show(
            turn.req, turn.resp, turn.visit, "secret.html",
            title="Invitation", overview=self.site.ask(turn.visit)["overview"],
            crumbs=(*CRUMBS, ("Invitations", INVITATIONS)), secret=made["value"],
            back=INVITATIONS, what="code", use="",
            link=f"https://{host}/register?invitation={quote(made['value'], safe='')}",
        )  # fmt: skip

    def show(self, turn: Turn) -> None:
        """Show the invitations."""
        _require_admin(turn)
        self.site.show(
            turn.req, turn.resp, turn.visit, "invitations.html",
            title="Invitations", overview=turn.told["overview"], crumbs=CRUMBS, tabs=TABS,
            here_tab=INVITATIONS, invitations=turn.told["invitations"],
            registration=turn.told["registration"], form=turn.forms["create"],
            status=turn.status,
        )  # fmt: skip


def fits(user: Any, wanted: str) -> bool:
    """Whether all words that somebody looks for stand in what is known of a user."""
    role = "administrator" if user.admin else ""
    known = " ".join(
        (user.username, user.fname, user.lname, user.email, user.affiliation, user.state, role)
    ).lower()
    return all(word in known for word in wanted.lower().split())


def _require_admin(turn: Turn) -> None:
    if not turn.told["overview"].user.admin:
        raise DeniedError("only administrators see this page")
