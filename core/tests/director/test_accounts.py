"""Accounts: how they come, what can be changed of them, and what a new password ends."""

import threading

import pytest

from conpaas import hookimpl
from conpaas.certificates import new_key, signing_request
from conpaas.director.models import Invitation, Token, User
from conpaas.director.users import hash_password

SOMEBODY = {"username": "somebody", "email": "some@body.org", "password": "battery staple"}


@pytest.fixture
def nobody(call_as):
    """Somebody who has not logged in."""
    return call_as(address="203.0.113.5")


# -- registering ----------------------------------------------------------------------------------


def test_whoever_registers_is_a_user_like_others_and_can_log_in(nobody, set_accounts):
    set_accounts(registration="open")
    got = nobody.post("user/register", {**SOMEBODY, "fname": "Some", "affiliation": "here"})
    assert (got.result["username"], got.result["fname"]) == ("somebody", "Some")
    assert (got.result["admin"], got.result["state"]) == (False, "active")
    assert nobody.log_in("somebody", "battery staple").result["email"] == "some@body.org"


@pytest.mark.parametrize("policy", ["open", "invitation", "closed"])
def test_everybody_can_ask_who_may_register(nobody, set_accounts, policy):
    set_accounts(registration=policy)
    assert nobody.get("user/get_registration").result["policy"] == policy


def test_nobody_registers_where_registration_is_closed(nobody, set_accounts):
    set_accounts(registration="closed")
    got = nobody.post("user/register", SOMEBODY)
    assert (got.status, got.code) == (403, "denied")
    assert User.select().count() == 1


def test_a_wrong_login_is_no_obstacle_to_what_is_public(call_as):
    got = call_as(token="cps_wrong").get("user/get_registration")
    assert got.status == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"username": "Some Body"}, "username"),
        ({"username": "test"}, "the username 'test' is taken"),
        ({"email": "nowhere"}, "email must be an e-mail address"),
        ({"email": ""}, "email must be an e-mail address"),
        ({"email": "OWNER@example.ORG"}, "belongs to another user already"),
        ({"password": "short"}, "a password must have 8 to 1024"),
        ({"password": "x" * 1025}, "a password must have 8 to 1024"),
        ({"fname": "a\x00b"}, "fname must be printable"),
        ({"fname": "x" * 201}, "fname"),
        ({"admin": True}, "unknown argument 'admin'"),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nobody(
    nobody, owner, set_accounts, change, told
):
    set_accounts(registration="open")
    owner.post("user/set_config", {"email": "owner@example.org"})
    got = nobody.post("user/register", SOMEBODY | change)
    assert (got.status, got.code) == (400, "invalid")
    assert told in got.message
    assert User.select().count() == 1


def test_a_plugin_that_fails_at_a_new_user_leaves_no_user(cluster, nobody, set_accounts):
    class Broken:
        @hookimpl
        def conpaas_user_created(self, config, user, credit):
            raise RuntimeError("no")

    set_accounts(registration="open")
    cluster.plugins._add("broken", Broken())
    assert nobody.post("user/register", SOMEBODY).status == 500
    assert User.select().count() == 1


def test_plugins_learn_of_a_new_user_and_tell_his_credit_and_what_he_must_know(
    cluster, admin, call_as, owner
):
    credits = {}

    class Bank:
        @hookimpl
        def conpaas_user_created(self, config, user, credit):
            credits[user.id] = config.credits.initial_credit if credit is None else credit

        @hookimpl
        def conpaas_balance(self, director, user):
            return credits.get(user)

        @hookimpl
        def conpaas_notices(self, director, user):
            return [f"{user} is poor"] if user in credits else []

    assert owner.post("user/get_overview").result["notices"] == []
    assert owner.post("user/get_config").result["credit"] is None
    cluster.plugins._add("bank", Bank())
    rich = admin.post("user/create", {**SOMEBODY, "credit": 7}).result
    other = admin.post("user/create", {"username": "other", "password": "battery staple"}).result
    assert (rich["credit"], other["credit"]) == (7, 50)
    me = call_as().open_session("somebody", "battery staple").result
    told = call_as(token=me["value"]).post("user/get_overview").result
    assert told["notices"] == [f"{rich['uid']} is poor"]


# -- invitations ----------------------------------------------------------------------------------


def test_an_invitation_lets_one_in_once(nobody, admin):
    assert nobody.post("user/register", SOMEBODY).code == "denied"
    code = admin.post("user/create_invitation").result["value"]
    got = nobody.post("user/register", {**SOMEBODY, "invitation": code})
    assert got.result["username"] == "somebody"
    again = {**SOMEBODY, "username": "again", "email": "a@b.org", "invitation": code}
    got = nobody.post("user/register", again)
    assert (got.status, got.message) == (
        403,
        "the invitation has been used already: ask for another",
    )
    (told,) = admin.post("user/list_invitations").result
    assert (told["state"], told["username"]) == ("used", "somebody")


def test_of_two_who_use_one_invitation_at_once_one_is_let_in(cluster, call_as, admin):
    code = admin.post("user/create_invitation").result["value"]
    answers = []

    def register(number):
        person = {"username": f"user{number}", "email": f"{number}@b.org"}
        caller = call_as(address=f"203.0.113.{number}")
        answers.append(
            caller.post("user/register", {**SOMEBODY, **person, "invitation": code}).status
        )

    threads = [threading.Thread(target=register, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 403, 403, 403]
    assert User.select().where(User.username.startswith("user")).count() == 1


def test_an_invitation_is_for_whom_it_says(nobody, admin):
    code = admin.post("user/create_invitation", {"email": "Ann@b.org"}).result["value"]
    got = nobody.post("user/register", {**SOMEBODY, "invitation": code})
    assert (got.status, got.message) == (400, "the invitation is for another e-mail address")
    ann = {**SOMEBODY, "email": "ann@B.org", "invitation": code}
    assert nobody.post("user/register", ann).status == 200


def test_an_invitation_expires_and_can_be_revoked(cluster, nobody, admin):
    late = admin.post("user/create_invitation", {"days": 1}).result["value"]
    revoked = admin.post("user/create_invitation", {"days": 9}).result["value"]
    assert admin.post("user/revoke_invitation", {"invitation": 2}).status == 200
    cluster.clock.advance(hours=24)
    for code, why in ((late, "has expired"), (revoked, "has been revoked"), ("inv_x", "none")):
        got = nobody.post("user/register", {**SOMEBODY, "invitation": code})
        assert got.code == "denied" and why in got.message
    states = [one["state"] for one in admin.post("user/list_invitations").result]
    assert states == ["revoked", "expired"]


def test_a_used_invitation_cannot_be_revoked(nobody, admin):
    code = admin.post("user/create_invitation").result["value"]
    nobody.post("user/register", {**SOMEBODY, "invitation": code})
    got = admin.post("user/revoke_invitation", {"invitation": 1})
    assert (got.status, got.code) == (409, "wrong-state")
    assert admin.post("user/revoke_invitation", {"invitation": 9}).code == "not-found"


def test_only_the_digest_of_an_invitation_is_kept(admin):
    code = admin.post("user/create_invitation").result["value"]
    assert code not in str(list(Invitation.select().dicts()))


# -- the account ----------------------------------------------------------------------------------


def test_what_is_not_given_stays(owner):
    owner.post("user/set_config", {"email": "a@b.org", "fname": "Ann"})
    got = owner.post("user/set_config", {"lname": "Other"}).result
    assert (got["email"], got["fname"], got["lname"]) == ("a@b.org", "Ann", "Other")
    assert owner.post("user/set_config", {"email": ""}).result["email"] == ""


def test_an_address_of_another_user_changes_nothing_at_all(owner, stranger):
    owner.post("user/set_config", {"email": "a@b.org"})
    got = stranger.post("user/set_config", {"email": "A@b.org", "fname": "Sly"})
    assert (got.status, got.code) == (400, "invalid")
    assert stranger.post("user/get_config").result["fname"] == ""


def test_an_administrator_changes_the_account_of_another(admin):
    got = admin.post("user/set_config", {"user": "test", "fname": "Ann"}).result
    assert (got["username"], got["fname"]) == ("test", "Ann")
    assert admin.post("user/get_config", {"user": 1}).result["fname"] == "Ann"
    assert admin.post("user/get_config", {"user": "tset"}).message == (
        "there is no user 'tset'; did you mean 'test'?"
    )


def test_a_new_password_ends_everything_but_this_session(owner, call_as):
    session = call_as(token=owner.post("user/open_session").result["value"])
    csr = {"csr": signing_request(new_key())}
    certificate = owner.post("user/sign_certificate", csr).result["certificate"]
    by_certificate = call_as(certificate=certificate)
    assert by_certificate.post("user/get_config").status == 200
    words = {"current_password": "correct horse", "new_password": "battery staple"}
    assert session.post("user/passwd", words).status == 200
    assert session.post("user/get_config").status == 200
    assert owner.post("user/get_config").status == 401
    assert by_certificate.post("user/get_config").status == 401
    assert call_as().log_in("test", "correct horse").status == 401
    assert call_as().log_in("test", "battery staple").status == 200


def test_a_wrong_present_password_changes_nothing(owner, call_as):
    words = {"current_password": "wrong horse", "new_password": "battery staple"}
    got = owner.post("user/passwd", words)
    assert (got.status, got.code) == (400, "invalid")
    assert call_as().log_in("test", "correct horse").status == 200
    assert Token.select().count() == 1


def test_an_administrators_reset_ends_all(admin, owner, call_as):
    got = admin.post("user/reset_password", {"user": "test", "new_password": "battery staple"})
    assert got.result["username"] == "test"
    assert owner.post("user/get_config").status == 401
    assert call_as().log_in("test", "battery staple").status == 200


# -- administrators -------------------------------------------------------------------------------


def test_the_only_administrator_stays_one(admin, stranger):
    for operation, more in (("set_admin", {"admin": False}), ("disable", {}), ("delete", {})):
        got = admin.post(f"user/{operation}", {"user": "admin", **more})
        assert got.status in (400, 409), operation
    admin.post("user/set_admin", {"user": "stranger", "admin": True})
    assert admin.post("user/set_admin", {"user": "admin", "admin": False}).status == 200
    assert admin.post("user/list").code == "denied"
    got = stranger.post("user/set_admin", {"user": "stranger", "admin": False})
    assert (got.status, got.code) == (409, "wrong-state")


def test_a_disabled_administrator_does_not_count(admin, stranger, run_job):
    admin.post("user/set_admin", {"user": "stranger", "admin": True})
    assert run_job(admin, admin.post("user/disable", {"user": "stranger"}))["state"] == "done"
    got = admin.post("user/set_admin", {"user": "admin", "admin": False})
    assert (got.status, got.code) == (409, "wrong-state")


def test_the_list_of_users_is_for_administrators(admin, owner):
    assert [one["username"] for one in admin.post("user/list").result] == ["test", "admin"]
    assert owner.post("user/list").code == "denied"


# -- the first page -------------------------------------------------------------------------------


def test_the_overview_has_everything_at_once_and_nothing_of_others(cluster, sid, owner, stranger):
    cluster.application("second", start=False)
    stranger.post("application/create", {"name": "theirs"})
    told = owner.post("user/get_overview").result
    assert told["user"]["username"] == "test"
    first, second = told["applications"]
    assert (first["name"], first["status"], first["machines"]) == ("app", "RUNNING", 2)
    assert first["manager"] is not None
    (service,) = first["services"]
    assert (service["type"], service["status"]) == ("simple", "RUNNING")
    assert (second["machines"], second["manager"], second["services"]) == (0, None, [])


def test_the_overview_asks_the_database_as_often_for_many_applications_as_for_one(cluster, owner):
    asked = []
    original = cluster.database.execute_sql

    def count(*values, **named):
        asked.append(values[0])
        return original(*values, **named)

    cluster.application("one", start=False)
    owner.post("user/get_overview")
    cluster.database.execute_sql = count
    owner.post("user/get_overview")
    few = len(asked)
    for number in range(20):
        cluster.application(f"app{number}", start=False)
    asked.clear()
    assert len(owner.post("user/get_overview").result["applications"]) == 21
    assert len(asked) == few <= 5


def test_a_password_is_kept_as_an_expensive_hash(monkeypatch):
    import argon2

    monkeypatch.setattr(argon2, "PasswordHasher", argon2.PasswordHasher.__mro__[1])
    told = argon2.extract_parameters(hash_password("correct horse"))
    assert told.type is argon2.Type.ID
    assert told.memory_cost >= 19 * 1024 and told.time_cost >= 2  # KiB, as OWASP asks for
