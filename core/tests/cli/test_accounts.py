"""Accounts on the command line: what needs no login, and what ends one."""

import pytest


@pytest.fixture
def no_login(home, director):
    """Knows where the director is and its authority, and has nothing to log in with."""
    settings = f"[cps-tools]\ndirector_url = {director.address}\n"
    (home / ".conpaas/cps-tools.conf").write_text(settings)
    (home / ".conpaas/ca_cert.pem").write_bytes(director.certificates.ca.read_bytes())


def test_what_is_public_needs_no_login(no_login, cps, director, capsys):
    director.answers["/user/get_registration"] = {"policy": "open", "initial_credit": 50}
    assert cps("cps-user", "get_registration") == 0
    assert "policy: open" in capsys.readouterr().out
    assert director.requests[0].headers["Authorization"] is None


def test_what_is_not_public_still_needs_a_login(no_login, cps, director, capsys):
    assert cps("cps-user", "get_config") == 1
    assert "cps-user get_certificate" in capsys.readouterr().err
    assert director.requests == []


def test_who_deletes_himself_is_told_when_he_is_gone(configured, cps, director, capsys):
    director.job("/user/delete", {"state": "running"})
    director.refuse("/jobs/7", 401, "unauthenticated", "the token is not valid (any more)")
    assert cps("cps-user", "delete", "ann") == 0
    assert "Your account has been deleted" in capsys.readouterr().out
