"""The account: profile, password, what opens it, its end."""

import io
import threading
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from conpaas.api import Applications, Users
from conpaas.director import tokens
from conpaas.director.models import User
from conpaas.errors import UnauthenticatedError
from conpaas.testing.cluster import PASSWORD

NEW = "another long password"


@pytest.fixture
def public_key():
    """A public key as a file has it."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    openssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_bytes(*openssh).decode() + " ann@laptop"


def test_the_profile_is_changed_and_told(browser):
    answer = browser.post(
        "/account?form=profile",
        {"email": "ann@example.org", "fname": "Ann", "lname": "", "affiliation": "VU"},
    )
    assert answer.location == "/account"
    page = browser.get("/account")
    assert "Profile saved." in page.text
    assert page.field("email")["value"] == "ann@example.org"
    assert User.get_by_id(1).fname == "Ann"


def test_a_wrong_address_is_told_above_its_form_and_nothing_typed_is_lost(browser):
    page = browser.post("/account?form=profile", {"email": "no address", "fname": "Ann"})
    assert page.status == 400
    assert page.field("email")["aria-invalid"] == "true"
    assert page.field("email")["value"] == "no address"
    assert page.field("fname")["value"] == "Ann"
    assert page.all("div", role="alert")
    assert User.get_by_id(1).fname == ""


def test_a_new_password_ends_every_other_session_and_token_but_not_this_one(browser, cluster, app):
    other = type(browser)(app)
    other.log_in()
    assert other.get("/account").status == 200
    answer = browser.post(
        "/account?form=password",
        {"current_password": PASSWORD, "new_password": NEW, "password-again": NEW},
    )
    assert answer.location == "/account"
    assert "You stay logged in here" in browser.get("/account").text
    assert other.get("/account").location.startswith("/login")
    with pytest.raises(UnauthenticatedError):
        cluster.api(Users).list_tokens()
    assert other.log_in(password=PASSWORD).status == 401
    assert other.log_in(password=NEW).location == "/"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"current_password": PASSWORD, "new_password": NEW, "password-again": NEW + "x"},
            "New password again: the two passwords are not the same",
        ),
        ({"current_password": "wrong", "new_password": NEW, "password-again": NEW}, "password"),
        (
            {"current_password": PASSWORD, "new_password": "short", "password-again": "short"},
            "at least 8",
        ),
        ({"current_password": "", "new_password": "", "password-again": ""}, "needed"),
    ],
)
def test_a_password_that_cannot_be_changed_is_told_and_shown_nowhere(browser, fields, told):
    page = browser.post("/account?form=password", fields)
    assert 400 <= page.status < 500
    assert told in page.text
    assert [a.get("value", "") for a in page.all("input", type="password")] == ["", "", ""]
    assert User.get_by_id(1).password  # and it still opens the account:
    assert browser.get("/account").status == 200


def test_a_token_is_shown_once_and_may_what_its_scope_says(browser, cluster):
    page = browser.post(
        "/account/tokens?form=create", {"name": "backup", "scope": "read", "days": "30"}
    )
    assert page.status == 200
    (value,) = [a["data-copy"] for a in page.all("button") if "data-copy" in a][:1]
    assert cluster.api(Applications, value).list() == ()
    with pytest.raises(Exception, match="read"):
        cluster.api(Applications, value).create(name="x")
    listed = browser.get("/account/tokens")
    assert "backup" in listed.text and "only read" in listed.text
    assert value not in listed.text
    number = next(t.id for t in cluster.api(Users).list_tokens() if t.name == "backup")
    answer = browser.post(
        "/objects/user/operations/revoke_token", {"token": str(number), "back": "/account/tokens"}
    )
    assert answer.location == "/account/tokens"
    assert "backup" not in browser.get("/account/tokens").text
    with pytest.raises(UnauthenticatedError):
        cluster.api(Applications, value).list()


def test_sessions_are_listed_apart_and_others_can_be_ended(browser, app):
    other = type(browser)(app)
    other.log_in()
    page = browser.get("/account/tokens")
    assert "this one" in page.text
    ends = page.all("input", name="token")
    assert len(ends) >= 1
    browser.post("/objects/user/operations/revoke_token", {"token": ends[0]["value"]})
    assert other.get("/account").location.startswith("/login")


def test_a_token_without_a_name_is_asked_for_one(browser):
    page = browser.post(
        "/account/tokens?form=create", {"name": "x" * 300, "scope": "all", "days": "30"}
    )
    assert page.status == 400
    assert page.all("div", role="alert")
    assert page.field("days")["value"] == "30"


def test_a_key_is_added_by_pasting_it_and_removed(browser, public_key):
    answer = browser.upload("/account/keys?form=add", {"pasted": public_key}, "filename", "", b"")
    assert answer.location == "/account/keys"
    page = browser.get("/account/keys")
    assert "ann@laptop" in page.text and "SHA256:" in page.text
    number = page.field("key")["value"]
    browser.post("/objects/user/operations/remove_key", {"key": number, "back": "/account/keys"})
    assert "SHA256:" not in browser.get("/account/keys").text


def test_a_key_is_added_from_its_file_under_a_name(browser, public_key):
    answer = browser.upload(
        "/account/keys?form=add", {"pasted": "", "name": "work"}, "filename", "id.pub",
        public_key.encode(),
    )  # fmt: skip
    assert answer.location == "/account/keys"
    assert "work" in browser.get("/account/keys").text


@pytest.mark.parametrize(
    ("pasted", "told"),
    [("", "paste a public key"), ("hello", "key"), ("x" * 30_000, "too long")],
)
def test_what_is_no_key_is_told_and_stays_typed(browser, pasted, told):
    page = browser.upload("/account/keys?form=add", {"pasted": pasted}, "filename", "", b"")
    assert page.status in (400, 413)
    assert told in page.text
    assert pasted in page.text or not pasted


def test_the_certificate_is_a_zip_with_a_key_that_it_is_for(browser, cluster):
    answer = browser.post("/account/certificate")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    assert sorted(files.namelist()) == ["ca_cert.pem", "cert.pem", "key.pem"]
    certificate = x509.load_pem_x509_certificate(files.read("cert.pem"))
    key = serialization.load_pem_private_key(files.read("key.pem"), None)
    assert certificate.public_key() == key.public_key()
    authority = x509.load_pem_x509_certificate(files.read("ca_cert.pem"))
    certificate.verify_directly_issued_by(authority)


def test_no_certificate_is_made_by_looking_or_without_our_form(browser):
    assert browser.get("/account/certificate").status == 405
    assert browser.post("/account/certificate", csrf="wrong").status == 403


def test_an_account_goes_when_its_name_is_typed_and_whoever_had_it_is_logged_out(
    browser, cluster, aid
):
    refused = browser.post(
        "/account?form=delete", {"confirmed": "yes", "confirm-name": "somebody"}
    )
    assert refused.status == 400
    assert "type &#39;test&#39;" in refused.content.decode()
    assert browser.post("/account?form=delete", {"confirm-name": "test"}).status == 400
    answer = browser.post("/account?form=delete", {"confirmed": "yes", "confirm-name": "test"})
    assert answer.location.startswith("/account/end/")
    cluster.wait(lambda: User.select().count() == 0)
    gone = browser.get(answer.location)
    assert gone.status == 200
    assert "Goodbye" in gone.text
    assert "__Host-conpaas" not in browser.cookies
    assert not cluster.machines


def delete_account(browser):
    """Have the browser's user delete himself; return where that is shown."""
    fields = {"confirmed": "yes", "confirm-name": "test"}
    return browser.post("/account?form=delete", fields).location


def test_who_deletes_himself_is_shown_how_far_it_is_while_he_is_shut_out(browser, cluster, aid):
    held, destroy = threading.Event(), cluster.provider.on_destroy
    cluster.provider.on_destroy = lambda machine: (held.wait(10), destroy(machine))
    page = delete_account(browser)
    cluster.wait(lambda: User.get_by_id(1).disabled)
    shown, refused = browser.get(page), browser.get("/account")
    held.set()
    assert (shown.status, refused.status) == (200, 403)
    assert shown.all("progress")
    cluster.wait(lambda: User.select().count() == 0)


def test_a_deletion_that_fails_tells_who_is_shut_out_whom_to_ask(browser, cluster, aid):
    cluster.provider.fail_next("destroy_machine", "closed today", times=9)
    page = delete_account(browser)
    cluster.wait(lambda: "closed today" in browser.get(page).text)
    failed = browser.get(page)
    assert "An administrator can delete what is left" in failed.text
    assert "/account" not in failed.links


def test_an_administrator_is_told_why_the_own_account_stays(browser):
    User.update(admin=True).execute()
    page = browser.get("/account")
    assert "Administrators do not delete themselves" in page.text
    answer = browser.post("/account?form=delete", {"confirmed": "yes", "confirm-name": "test"})
    assert answer.status == 409


def test_ones_own_record_shows_what_was_changed_and_nobody_elses(browser, cluster):
    User.update(admin=True).execute()
    cluster.api(Users).create(username="eve", password=NEW)
    browser.post("/account?form=profile", {"fname": "Ann"})
    page = browser.get("/account/record")
    assert "user set_config" in page.text
    assert "user create" in page.text
    other = type(browser)(browser.client.app)
    other.cookies["__Host-conpaas"] = tokens.issue(2, "session", kind=tokens.SESSION)
    own = other.get("/account/record?user=test")
    assert own.status == 200
    assert "user create" not in own.text
