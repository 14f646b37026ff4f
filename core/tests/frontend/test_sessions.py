"""Coming and going."""

import pytest

from conpaas.director.models import Token, User
from conpaas.testing.cluster import PASSWORD

SESSION = "__Host-conpaas"


def test_who_is_not_logged_in_is_sent_to_the_page_for_that(stranger):
    page = stranger.get("/applications/1?part=a&b=c")
    assert page.status == 303
    assert page.location == "/login?next=%2Fapplications%2F1%3Fpart%3Da%26b%3Dc"


def test_logging_in_leads_to_where_one_wanted_to_go(stranger):
    page = stranger.log_in(next="/machines?a=b")
    assert (page.status, page.location) == (303, "/machines?a=b")
    assert stranger.get("/").status == 200


def test_the_session_is_in_a_cookie_that_scripts_and_other_sites_do_not_get(stranger):
    page = stranger.log_in()
    mine = page.cookies[SESSION]
    assert mine.secure and mine.http_only and mine.same_site == "Lax"
    assert (mine.path, mine.domain) == ("/", None)


def test_a_wrong_password_is_told_and_the_username_stays(stranger):
    page = stranger.log_in(password="not it at all")
    assert page.status == 401
    assert page.field("username")["value"] == "test"
    assert "value" not in page.field("password")
    assert page.all("div", role="alert")
    assert SESSION not in stranger.cookies


def test_a_session_that_somebody_planted_is_not_taken_over(stranger):
    csrf = stranger.csrf
    stranger.cookies[SESSION] = "planted"
    page = stranger.post("/login", {"username": "test", "password": PASSWORD}, csrf=csrf)
    # The form was made for no session: it is not believed with another one's cookie.
    assert page.status == 403
    del stranger.cookies[SESSION]
    stranger.log_in()
    first = stranger.cookies[SESSION]
    assert first != "planted"
    assert stranger.log_in().status == 303
    assert stranger.cookies[SESSION] != first


def test_logging_out_ends_the_session_at_the_director(browser):
    token = browser.cookies[SESSION]
    page = browser.post("/logout")
    assert (page.status, page.location) == (303, "/login")
    assert SESSION not in browser.cookies
    assert Token.select().where(Token.kind == "session").count() == 0
    browser.cookies[SESSION] = token
    assert browser.get("/").location == "/login?ended=1"


def test_a_session_that_has_ended_leads_to_logging_in_again(browser):
    Token.delete().where(Token.kind == "session").execute()
    page = browser.get("/machines")
    assert page.location == "/login?next=%2Fmachines&ended=1"
    assert SESSION not in browser.cookies
    assert "Your session has ended" in browser.get(page.location).text


def test_a_page_that_renews_itself_is_told_and_not_sent_away(browser):
    Token.delete().where(Token.kind == "session").execute()
    assert browser.get("/machines", X_Live="1").status == 401


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example",
        "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "///evil.example",
        "http:evil.example", " //evil.example", "/%09/../\\evil", "evil.example", "",
        "/" + "a" * 3000, "/\x00//evil.example", "data:text/html,x",
    ],
)  # fmt: skip
def test_logging_in_never_leads_to_another_site(stranger, target):
    page = stranger.log_in(next=target)
    assert page.status == 303
    location = page.location
    assert location.startswith("/") and not location.startswith(("//", "/\\"))
    assert "\\" not in location and "evil.example" not in location.partition("/")[0]
    assert location == "/"


def test_registering_logs_in_at_once(cluster, stranger, monkeypatch):
    _open(cluster, monkeypatch)
    page = stranger.post("/register", _newcomer())
    assert (page.status, page.location) == (303, "/")
    home = stranger.get("/")
    assert home.status == 200
    assert "Welcome, ann." in home.text
    assert User.get(User.username == "ann").email == "ann@example.org"
    assert "Welcome" not in stranger.get("/").text


def test_what_is_wrong_with_a_registration_is_told_at_the_field_and_nothing_is_lost(
    cluster, stranger, monkeypatch
):
    _open(cluster, monkeypatch)
    page = stranger.post("/register", {**_newcomer(), "username": "Ann!"})
    assert page.status == 400
    assert page.field("username")["aria-invalid"] == "true"
    assert page.field("email")["value"] == "ann@example.org"
    assert page.field("password")["value"] == ""
    assert "#field-username" in page.links


def test_two_different_passwords_are_not_taken(cluster, stranger, monkeypatch):
    _open(cluster, monkeypatch)
    page = stranger.post("/register", {**_newcomer(), "password-again": "something else"})
    assert page.status == 400
    assert "the two passwords are not the same" in page.text
    assert User.get_or_none(User.username == "ann") is None


def test_nobody_registers_where_registration_is_closed(cluster, stranger, monkeypatch):
    _open(cluster, monkeypatch, "closed")
    assert "/register" not in stranger.get("/login").links
    assert stranger.get("/register").status == 403


def test_registering_by_invitation_asks_for_its_code(stranger):
    page = stranger.get("/register?invitation=abc")
    assert page.field("invitation")["value"] == "abc"


def _newcomer():
    return {
        "username": "ann", "email": "ann@example.org", "password": "battery staple",
        "password-again": "battery staple",
    }  # fmt: skip


def _open(cluster, monkeypatch, policy="open"):
    import dataclasses

    section = dataclasses.replace(cluster.config.accounts, registration=policy)
    monkeypatch.setattr(
        cluster.director, "config", dataclasses.replace(cluster.config, accounts=section)
    )
