"""Tokens and sessions: how long they last, what they may, and how they end."""

import pytest

from conpaas.api import Users
from conpaas.certificates import Identity, Role
from conpaas.director.models import Token, User
from conpaas.director.tokens import MAX_TOKENS, issue
from conpaas.front import CLIENT_HEADER


@pytest.fixture
def session(owner, call_as):
    """A session of the owner."""
    return call_as(token=owner.post("user/open_session").result["value"])


def test_a_token_ends_when_it_says(cluster, owner, call_as):
    value = owner.post("user/create_token", {"name": "ci", "days": 2}).result["value"]
    caller = call_as(token=value)
    cluster.clock.advance(hours=47)
    assert caller.post("user/get_config").status == 200
    cluster.clock.advance(hours=1)
    got = caller.post("user/get_config")
    assert (got.status, got.code) == (401, "unauthenticated")
    assert "the token 'ci' has expired" in got.message


def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(cluster, session):
    for _ in range(3):
        cluster.clock.advance(hours=7)
        assert session.post("user/get_config").status == 200
    cluster.clock.advance(hours=8)
    got = session.post("user/get_config")
    assert (got.status, got.message) == (401, "the session has expired: log in again")


def test_a_session_ends_after_its_time_however_much_it_is_used(cluster, session):
    for _ in range(7 * 4 - 1):
        cluster.clock.advance(hours=6)
        assert session.post("user/get_config").status == 200
    cluster.clock.advance(hours=6)
    assert session.post("user/get_config").status == 401


def test_even_a_very_short_idle_time_is_kept(cluster, session, set_accounts):
    set_accounts(session_idle=10.0)
    for _ in range(5):
        cluster.clock.advance(seconds=6)
        assert session.post("user/get_config").status == 200
    cluster.clock.advance(seconds=11)
    assert session.post("user/get_config").status == 401


def test_when_a_token_was_used_is_noted_once_a_minute(cluster, call_as):
    caller = call_as(token=issue(1, "t", now=cluster.clock()), address="203.0.113.7")
    row = lambda: Token.get(Token.name == "t")  # noqa: E731 - asked again and again
    caller.post("application/list")
    first = row().last_used
    assert first is not None and row().address == "203.0.113.7"
    cluster.clock.advance(seconds=50)
    caller.post("application/list")
    assert row().last_used == first
    cluster.clock.advance(seconds=15)
    caller.post("application/list")
    assert row().last_used > first


def test_a_session_is_closed_on_the_server(session, owner):
    assert session.post("user/close_session").status == 200
    assert session.post("user/get_config").status == 401
    assert owner.post("user/get_config").status == 200


def test_a_token_to_read_changes_nothing(owner, call_as):
    made = owner.post("user/create_token", {"name": "r", "scope": "read"}).result
    reader = call_as(token=made["value"])
    assert reader.post("application/list").result == []
    got = reader.post("application/create", {"name": "x"})
    assert (got.status, got.code) == (403, "denied")
    assert "--scope all" in got.message
    assert reader.post("user/create_token").code == "denied"


def test_tokens_are_listed_newest_first_and_say_which_is_mine(owner, session):
    owner.post("user/create_token", {"name": "ci", "scope": "read", "days": 1})
    listed = session.post("user/list_tokens").result
    assert [(t["name"], t["kind"], t["scope"], t["current"]) for t in listed] == [
        ("ci", "token", "read", False),
        ("session", "session", "all", True),
        ("cluster", "token", "all", False),
    ]
    assert listed[2]["expires"] is None and "T" in listed[0]["expires"]


def test_a_token_is_revoked_by_its_owner_only(owner, stranger, session):
    (number,) = [t["id"] for t in owner.post("user/list_tokens").result if t["kind"] == "session"]
    assert stranger.post("user/revoke_token", {"token": number}).code == "not-found"
    assert owner.post("user/revoke_token", {"token": number}).status == 200
    assert session.post("user/get_config").status == 401


def test_there_is_room_for_so_many_tokens_and_the_oldest_session_makes_room(cluster, owner):
    for number in range(MAX_TOKENS - 1):
        issue(1, f"t{number}")
        issue(1, f"s{number}", kind="session")
    got = owner.post("user/create_token")
    assert (got.status, got.code) == (400, "invalid")
    owner.post("user/open_session")
    owner.post("user/open_session")
    left = Token.select().where(Token.kind == "session")
    assert left.count() == MAX_TOKENS
    assert "s0" not in {row.name for row in left}


@pytest.mark.parametrize("days", [0, -1, 3651, 1.5, "x"])
def test_a_lifetime_that_makes_no_sense_is_refused(owner, days):
    assert owner.post("user/create_token", {"days": days}).code == "invalid"


def test_a_token_is_kept_as_its_digest_only(cluster, owner):
    value = owner.post("user/create_token", {"name": "laptop"}).result["value"]
    assert value.startswith("cps_")
    assert value not in str(list(Token.select().dicts()))
    assert cluster.api(Users, token=value).get_config().username == "test"


def test_a_disabled_user_is_refused_whatever_he_shows(owner, session, call_as):
    User.update(disabled=True).where(User.id == 1).execute()
    certificate = call_as(identity=Identity(Role.USER, owner=1))
    for got in (
        owner.post("application/list"),
        session.post("application/list"),
        certificate.post("application/list"),
        call_as().log_in("test", "correct horse"),
    ):
        assert (got.status, got.code) == (403, "denied")
        assert got.message == "the account 'test' is disabled: ask an administrator"
    # Whether he is disabled is not told to those who do not know the password.
    assert call_as().log_in("test", "wrong horse").status == 401


# -- the frontend ---------------------------------------------------------------------------------


def test_the_frontend_tells_for_whom_it_calls(cluster, call_as, owner):
    value = owner.post("user/create_token", {"name": "mine"}).result["value"]
    frontend = call_as(token=value, identity=Identity(Role.FRONTEND), address="127.0.0.1")
    frontend.post("application/list", **{CLIENT_HEADER: "2001:db8::7"})
    assert Token.get(Token.name == "mine").address == "2001:db8::7"


@pytest.mark.parametrize("identity", [None, Identity(Role.USER, owner=1)])
def test_nobody_else_is_believed_that(cluster, call_as, owner, identity):
    value = owner.post("user/create_token", {"name": "mine"}).result["value"]
    caller = call_as(token=value, identity=identity, address="203.0.113.9")
    caller.post("application/list", **{CLIENT_HEADER: "2001:db8::7"})
    assert Token.get(Token.name == "mine").address == "203.0.113.9"


def test_nonsense_for_an_address_is_not_taken(cluster, call_as, owner):
    value = owner.post("user/create_token", {"name": "mine"}).result["value"]
    frontend = call_as(token=value, identity=Identity(Role.FRONTEND), address="127.0.0.1")
    assert frontend.post("application/list", **{CLIENT_HEADER: "<b>"}).status == 200
    assert Token.get(Token.name == "mine").address == "127.0.0.1"
