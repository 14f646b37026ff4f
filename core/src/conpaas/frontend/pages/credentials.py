"""What opens the account: sessions, tokens, SSH keys."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from conpaas.errors import InvalidError
from conpaas.frontend.fields import Field
from conpaas.frontend.forms import Form
from conpaas.frontend.pages.account import CRUMBS, PATH, TABS
from conpaas.frontend.pages.several_forms import FormsPage, Turn, send
from conpaas.frontend.posted import Posted
from conpaas.frontend.site import Told
from conpaas.frontend.visit import Visit
from conpaas.rpc import Upload

TOKENS = f"{PATH}/tokens"
KEYS = f"{PATH}/keys"
SESSION = "session"  #: the kind of token that a login of the frontend has
PASTED = "pasted"  #: the field for the text of a key
LONGEST_KEY = 20_000  #: characters


class TokensPage(FormsPage):
    """``/account/tokens``."""

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the tokens."""
        return {"tokens": visit.api.users.list_tokens}

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the form that makes a token."""
        form = self.form(TOKENS, "create", "create_token", submit="Create token")
        for one in form.fields:
            if one.name == "name":
                # A name of the token's own, so that one knows later which to revoke.
                one.value, one.required, one.placeholder = "", True, "backup script"
            elif one.name == "days":
                one.label = "Days until it expires"
                one.help = ""
        return {"create": form}

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Make a token, and show it this once."""
        made = send(turn.visit, form, arguments)
        overview = self.site.ask(turn.visit)["overview"]
        self.site.show(
            turn.req, turn.resp, turn.visit, "secret.html",
            title=f"Token {made['name']}", overview=overview,
            crumbs=(*CRUMBS, ("Account", PATH), ("Sessions and tokens", TOKENS)),
            secret=made["value"], back=TOKENS, what="token",
            use=f"token = {made['value']}", link="",
        )  # fmt: skip

    def show(self, turn: Turn) -> None:
        """Show sessions and tokens."""
        tokens = turn.told["tokens"]
        self.site.show(
            turn.req, turn.resp, turn.visit, "account_tokens.html",
            title="Sessions and tokens", overview=turn.told["overview"], tabs=TABS,
            here_tab=TOKENS,
            crumbs=(*CRUMBS, ("Account", PATH)), forms=turn.forms, status=turn.status,
            sessions=[one for one in tokens if one.kind == SESSION],
            tokens=[one for one in tokens if one.kind != SESSION],
        )  # fmt: skip


class KeysPage(FormsPage):
    """``/account/keys``."""

    def questions(self, visit: Visit, where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the keys."""
        return {"keys": visit.api.users.list_keys}

    def forms(self, told: Told, where: Mapping[str, Any]) -> dict[str, Form]:
        """Return the form that adds a key: from a file, or pasted."""
        form = self.form(KEYS, "add", "add_key", submit="Add key")
        for one in form.fields:
            if one.kind == "file":
                one.label, one.required = "Key file", False
                one.help = "Such as ~/.ssh/id_ed25519.pub: the public one, which ends in .pub"
        return {"add": form}

    def prepare(self, posted: Posted) -> Posted:
        """Take what was pasted for a file."""
        if posted.upload is not None:
            return posted
        text = posted.text(PASTED).strip()
        if not text:
            raise InvalidError("paste a public key, or choose its file")
        if len(text) > LONGEST_KEY:
            raise InvalidError("this is too long for a public key")
        posted.upload = Upload(io.BytesIO(text.encode() + b"\n"), "pasted.pub")
        return posted

    def carry_out(self, turn: Turn, form: Form, arguments: dict[str, Any]) -> None:
        """Add a key."""
        added = send(turn.visit, form, arguments, filename=turn.posted.upload)
        turn.visit.tell_next(f"Key '{added['name']}' added: {added['fingerprint']}")
        turn.visit.go(KEYS)

    def show(self, turn: Turn) -> None:
        """Show the keys."""
        pasted = Field(
            name=PASTED, label="Public key", kind="long", form="add",
            help="One line that begins with its kind, such as ssh-ed25519",
            value=turn.posted.text(PASTED),
        )  # fmt: skip
        self.site.show(
            turn.req, turn.resp, turn.visit, "account_keys.html",
            title="SSH keys", overview=turn.told["overview"], tabs=TABS, here_tab=KEYS,
            crumbs=(*CRUMBS, ("Account", PATH)), form=turn.forms["add"], pasted=pasted,
            keys=turn.told["keys"], status=turn.status,
        )  # fmt: skip
