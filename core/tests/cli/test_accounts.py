"""Accounts on the command line: registering without a login, and secrets that are asked for."""

import pytest

USER = {
    "uid": 7, "username": "ann", "fname": "", "lname": "", "email": "a@b.org", "affiliation": "",
    "admin": False, "state": "active", "credit": 50, "created": "",
}  # fmt: skip


@pytest.fixture
def no_login(home, director):
    """Knows where the director is and its authority, and has nothing to log in with."""
    settings = f"[cps-tools]\ndirector_url = {director.address}\n"
    (home / ".conpaas/cps-tools.conf").write_text(settings)
    (home / ".conpaas/ca_cert.pem").write_bytes(director.certificates.ca.read_bytes())


def test_who_has_no_account_registers_without_logging_in(no_login, terminal, director):
    director.answers["/user/register"] = USER
    types = [("Password:", "battery staple"), ("Retype password:", "battery staple")]
    code, shown = terminal("cps-user", "register", "ann", "a@b.org", types=types)
    assert code == 0 and "User 'ann' registered with id 7." in shown
    (request,) = director.requests
    assert request.json == {
        "username": "ann", "email": "a@b.org", "password": "battery staple"
    }  # fmt: skip
    assert request.headers["Authorization"] is None
    assert "battery" not in shown


def test_what_is_not_public_still_needs_a_login(no_login, cps, director, capsys):
    assert cps("cps-user", "get_config") == 1
    assert "cps-user get_certificate" in capsys.readouterr().err
    assert director.requests == []


def test_the_present_password_is_asked_for_once_and_the_new_one_twice(
    configured, terminal, director
):
    director.answers["/user/passwd"] = None
    types = [
        ("Current password:", "correct horse"),
        ("New password:", "battery staple"),
        ("Retype new password:", "battery staple"),
    ]
    code, shown = terminal("cps-user", "passwd", types=types)
    assert code == 0 and "Password changed" in shown
    (request,) = director.requests
    assert request.json == {
        "current_password": "correct horse", "new_password": "battery staple"
    }  # fmt: skip
    assert "horse" not in shown and "staple" not in shown


def test_who_deletes_himself_is_told_when_he_is_gone(configured, cps, director, capsys):
    director.job("/user/delete", {"state": "running"})
    director.refuse("/jobs/7", 401, "unauthenticated", "the token is not valid (any more)")
    assert cps("cps-user", "delete", "ann") == 0
    assert "Your account has been deleted" in capsys.readouterr().out
