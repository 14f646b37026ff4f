"""What administrators look after: users, invitations, the record."""

import pytest

from conpaas.api import Applications, Users
from conpaas.director.models import User
from conpaas.features import credits
from conpaas.plugins import Plugins

LONG = "a long password"


@pytest.fixture
def plugins(plugins):
    """The simple service type, and credits."""
    return Plugins(simple=plugins._manager.get_plugin("simple"), credits=credits)


@pytest.fixture
def admin(browser):
    """The browser of an administrator."""
    User.update(admin=True).execute()
    return browser


@pytest.fixture
def eve(cluster, admin):
    """Another user's number."""
    made = cluster.api(Users).create(
        username="eve", password=LONG, email="eve@example.org", fname="Eve", credit=20
    )
    return made.uid


@pytest.mark.parametrize("path", ["/users", "/users/1", "/invitations"])
def test_users_like_others_see_nothing_of_it(browser, path):
    assert browser.get(path).status == 403
    assert "/users" not in browser.get("/help").links


def test_users_are_listed_and_found_by_words(admin, eve):
    page = admin.get("/users")
    assert f"/users/{eve}" in page.links and "/users/1" in page.links
    found = admin.get("/users?q=EVE+example")
    assert f"/users/{eve}" in found.links and "/users/1" not in found.links
    assert "Nobody fits" in admin.get("/users?q=nobody").text


def test_a_user_is_created_and_shown(admin):
    answer = admin.post(
        "/users?form=create",
        {"username": "bob", "password": LONG, "email": "", "credit": "7", "fname": "Bob"},
    )
    bob = User.get(User.username == "bob")
    assert answer.location == f"/users/{bob.id}"
    page = admin.get(answer.location)
    assert "User 'bob' created." in page.text and "7" in page.text


def test_a_user_that_cannot_be_created_leaves_what_was_typed(admin):
    page = admin.post(
        "/users?form=create", {"username": "test", "password": LONG, "fname": "Tess"}
    )
    assert 400 <= page.status < 500
    assert page.field("fname")["value"] == "Tess"
    assert LONG not in page.content.decode()


def test_credit_is_added_and_taken_and_the_charge_switched(admin, eve):
    path = f"/users/{eve}"
    assert admin.post(f"{path}?form=credit", {"credit": "5", "reason": "course"}).location == path
    assert "the new credit is 25" in admin.get(path).text
    assert admin.post(f"{path}?form=credit", {"credit": "-1000"}).status >= 400
    admin.post(f"{path}?form=unlimited", {"unlimited": "yes"})
    assert "eve is not charged" in admin.get(path).text
    admin.post(f"{path}?form=unlimited", {"unlimited": "no"})
    assert "eve is not charged" not in admin.get(path).text


def test_the_buttons_of_a_page_send_what_they_say(admin, eve):
    path = f"/users/{eve}"
    page = admin.get(path)
    assert page.field("admin")["value"] == "yes"
    assert page.field("unlimited")["value"] == "yes"
    sent = admin.post(f"{path}?form=admin", {"admin": "yes"})
    assert sent.location == path, sent.text
    assert User.get_by_id(eve).admin
    assert admin.get(path).field("admin")["value"] == "no"


def test_a_password_is_reset_and_opens_the_account(admin, eve, stranger):
    path = f"/users/{eve}"
    wrong = admin.post(
        f"{path}?form=password", {"new_password": "new " + LONG, "password-again": "x"}
    )
    assert wrong.status == 400
    admin.post(
        f"{path}?form=password",
        {"new_password": "new " + LONG, "password-again": "new " + LONG},
    )
    assert stranger.log_in("eve", "new " + LONG).location == "/"


def test_a_user_is_disabled_and_enabled_again(admin, eve, cluster, stranger):
    path = f"/users/{eve}"
    assert admin.post(f"{path}?form=disable").status == 400  # nobody has said yes
    answer = admin.post(f"{path}?form=disable", {"confirmed": "yes"})
    assert answer.location.startswith("/jobs/")
    cluster.wait(lambda: User.get_by_id(eve).disabled)
    assert stranger.log_in("eve", LONG).status in (401, 403)
    assert "disabled" in admin.get(path).text
    assert admin.post(f"{path}?form=enable").location == path
    assert stranger.log_in("eve", LONG).location == "/"


def test_a_user_is_deleted_when_the_name_is_typed(admin, eve, cluster):
    path = f"/users/{eve}"
    sent = {"confirmed": "yes", "confirm-name": "ev"}
    assert admin.post(f"{path}?form=delete", sent).status == 400
    answer = admin.post(f"{path}?form=delete", {"confirmed": "yes", "confirm-name": "eve"})
    assert answer.location.startswith("/jobs/")
    cluster.wait(lambda: User.get_or_none(User.id == eve) is None)
    assert admin.get(path).status == 404


def test_a_users_page_shows_what_belongs_to_the_user(admin, aid, eve):
    page = admin.get("/users/1")
    assert f"/applications/{aid}" in page.links
    assert any(link.startswith("/machines#machine-") for link in page.links)
    assert f"/applications/{aid}" not in admin.get(f"/users/{eve}").links


def test_an_invitation_is_shown_once_and_lets_one_person_in(admin, stranger):
    page = admin.post("/invitations?form=create", {"email": "new@example.org", "days": "3"})
    code, link = [a["data-copy"] for a in page.all("button") if "data-copy" in a][:2]
    assert link.startswith("https://") and link.endswith(f"/register?invitation={code}")
    assert code not in admin.get("/invitations").content.decode()
    path = link.partition("pages")[2]
    form = stranger.get(path)
    assert form.field("invitation")["value"] == code
    sent = {
        "username": "newcomer", "email": "new@example.org", "password": LONG,
        "password-again": LONG, "invitation": code,
    }  # fmt: skip
    assert stranger.post("/register", sent).location == "/"
    assert "by newcomer" in admin.get("/invitations").text


def test_an_invitation_is_revoked(admin, cluster):
    cluster.api(Users).create_invitation(email="late@example.org")
    number = admin.get("/invitations").field("invitation")["value"]
    answer = admin.post(
        "/objects/user/operations/revoke_invitation",
        {"invitation": number, "back": "/invitations"},
    )
    assert answer.location == "/invitations"
    assert "revoked" in admin.get("/invitations").text


def test_the_record_is_narrowed_by_each_of_its_filters(admin, eve, cluster):
    cluster.application("shop", start=False)
    with pytest.raises(Exception, match="there is no application"):
        cluster.api(Applications).rename(application=99, new_name="x")
    assert "application create" in admin.get("/audit").text
    assert "application create" not in admin.get("/audit?action=user+create").text
    assert "application create" not in admin.get("/audit?user=eve").text
    assert "application create" in admin.get("/audit?target=application+1").text
    assert "application create" not in admin.get("/audit?outcome=failed").text
    assert "Nothing fits" in admin.get("/audit?since=2999-01-01").text
    wrong = admin.get("/audit?since=yesterday&user=eve")
    assert wrong.status == 400
    assert "is no time" in wrong.text and wrong.field("user")["value"] == "eve"


def test_the_record_has_pages(admin, cluster):
    for number in range(60):
        cluster.application(f"app {number}", start=False)
    page = admin.get("/audit?action=application+create")
    assert "application 60" in page.text and "application 5 " not in page.text
    (older,) = [link for link in page.links if "before=" in link]
    second = admin.get(older)
    assert "application 5 " in second.text and "application 60" not in second.text
    assert not [link for link in second.links if "before=" in link]
