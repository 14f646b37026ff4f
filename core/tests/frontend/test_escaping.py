"""What people write stays text, on whatever page it is shown."""

import re

import pytest

from conpaas.api import Users
from conpaas.director.models import (
    Application,
    AuditRow,
    Invitation,
    Service,
    StateChange,
    Token,
    User,
)

MARK = "zqx"
CORPUS = [
    f"<script>{MARK}()</script>",
    f"\"><img src=x onerror={MARK}()>",
    f"'><svg/onload={MARK}()>",
    f"</title><script>{MARK}()</script>",
    f"</textarea><script>{MARK}()</script>",
    f"{{{{ {MARK} }}}}{{% raw %}}",
    f"javascript:{MARK}()",
    f"&lt;b&gt;{MARK}",
    f"\" autofocus onfocus={MARK}() x=\"",
    f"{MARK}\u202e\u0000<b>",
]  # fmt: skip
PAGES = [
    "/", "/applications/new", "/applications/1", "/applications/1/add", "/applications/1/log",
    "/applications/1/operations/rename", "/applications/1/operations/delete", "{service}",
    "{service}/log", "{service}/operations/remove", "{service}/operations/rename",
    "{service}/operations/get_words", "{service}/operations/set_word", "/jobs", "/jobs/1",
    "/applications/1/jobs/1", "/machines", "/clouds", "/about", "/help", "/objects/user",
    "/objects/user/operations/get_config", "/objects/user/operations/list",
    "/objects/user/operations/list_tokens", "/objects/audit/operations/list",
    "/account", "/account/tokens", "/account/keys", "/account/record", "/users", "/users/1",
    "/invitations", "/audit", "{service}/nodes/simple-2", "{service}/nodes/node-2?file=word.log",
]  # fmt: skip

#: Of which each gets out of another place: quotes of both kinds, a text area, a template, a link.
EVERY_DAY = {1, 2, 4, 5, 6}


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param(evil, marks=() if number in EVERY_DAY else pytest.mark.long)
        for number, evil in enumerate(CORPUS)
    ],
)
def test_what_is_stored_is_shown_as_text_everywhere(browser, cluster, service, evil):
    # Past every check of the director: pages must not count on those.
    Application.update(name=evil).execute()
    Service.update(name=evil).execute()
    User.update(fname=evil, lname=evil, affiliation=evil, email=evil, admin=True).execute()
    StateChange.update(reason=evil).execute()
    cluster.api(Users).create_token()
    cluster.api(Users).create_invitation()
    Token.update(name=evil, address=evil).execute()
    Invitation.update(email=evil).execute()
    AuditRow.update(username=evil, target=evil, detail=evil, address=evil).execute()
    seen = 0
    for pattern in PAGES:
        page = browser.get(pattern.format(service=service))
        assert page.status in (200, 404), pattern
        seen += MARK in page.text
        harmless(page, pattern)
    assert seen > 12


@pytest.mark.parametrize("evil", CORPUS)
def test_what_is_typed_is_shown_again_as_text(browser, service, evil):
    for path, fields in [
        ("/applications/new", {"name": f"{evil}<"}),
        ("/applications/1/operations/rename", {"new_name": f"{evil}<"}),
        ("/applications/1/add", {"service_type": evil, "name": evil}),
        (f"{service}/scale", {"count.node": evil}),
        (f"{service}/operations/{evil.replace('/', '')}", {}),
        ("/login", {"username": evil, "password": "", "next": evil}),
        (f"{service}/operations/remove", {"confirmed": "yes", "confirm-name": evil}),
    ]:
        page = browser.post(path, fields)
        assert page.status in (400, 404), path
        harmless(page, path)


@pytest.mark.parametrize("evil", CORPUS)
def test_an_address_is_shown_as_text(browser, evil):
    from urllib.parse import quote

    for path in (
        f"/{quote(evil, safe='')}",
        f"/objects/{quote(evil, safe='')}",
        f"/login?next={quote(evil)}&ended={quote(evil)}",
        f"/jobs/1?back={quote(evil)}",
        f"/applications/1/operations/rename?new_name={quote(evil)}&back={quote(evil)}",
        f"/static/{quote(evil, safe='')}",
    ):
        harmless(browser.get(path), path)


def harmless(page, where):
    """No element or attribute of a page came from what somebody wrote."""
    for tag, attributes in page.elements:
        assert tag != "script" or "src" in attributes, where
        assert not any(name.startswith("on") for name in attributes), (where, tag)
        for name in ("href", "src", "action"):
            address = attributes.get(name) or "/"
            assert re.match(r"[/#?]", address) and not address.startswith("//"), (where, address)
        assert all(MARK not in name for name in attributes), where
