"""Who is called is known, and so is who calls."""

import hashlib
import io
import os
import ssl
import stat

import pytest

LIST = ("cps-tools", "application", "list")


@pytest.mark.parametrize(
    "uri",
    [
        "conpaas://test/manager/owner/1/application/1/machine/1",
        "conpaas://test/user/owner/1",
        "conpaas://director/user/owner/1",
        "conpaas://test/directors",
        "https://test/director",
    ],
)
def test_whoever_is_not_a_director_is_sent_nothing(cps, home, other_director, tools, capsys, uri):
    impostor = other_director(uri)
    tools["configure"](home, impostor)
    assert cps(*LIST) == 1
    assert "is not a director of this installation: nothing was sent" in capsys.readouterr().err
    assert impostor.requests == []


def test_another_authority_is_refused_with_what_it_may_mean(
    cps, configured, director, capsys, tmp_path
):
    other = type(director.certificates)(tmp_path)
    (configured / ".conpaas/ca_cert.pem").write_bytes(other.ca.read_bytes())
    assert cps(*LIST) == 1
    err = capsys.readouterr().err
    assert "is not from the authority in" in err
    assert "somebody may be in between, or the director was set up anew" in err
    assert director.requests == []


def test_a_token_goes_before_a_certificate_and_that_before_a_password(
    cps, configured, director, tools
):
    director.answers["/application/list"] = []
    own = configured / ".conpaas"
    (own / "cert.pem").write_bytes(
        director.certificates.issue("conpaas://test/user/owner/1").read_bytes()
    )
    (own / "key.pem").write_bytes((own / "cert.pem").read_bytes())
    assert cps(*LIST) == 0
    (own / "cps-tools.conf").write_text(
        f"[cps-tools]\ndirector_url={director.address}\nusername=ann\npassword=pass\n"
    )
    assert cps(*LIST) == 0
    (own / "cert.pem").unlink()
    assert cps(*LIST) == 0
    sent = [request.headers["Authorization"] for request in director.requests]
    assert sent == ["Bearer t0ken", None, "Basic YW5uOnBhc3M="]
    assert [bool(peer) for peer in director.peers] == [False, True, False]


def test_a_password_that_nobody_can_be_asked_for_is_missing(cps, configured, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cps(*LIST, "--username", "ann") == 2
    assert "the password is missing" in capsys.readouterr().err


@pytest.fixture
def newcomer(home, director):
    """A user who has a name, a password and no certificate."""
    certificates = director.certificates
    director.answers["/ca"] = certificates.ca.read_text()
    director.answers["/user/sign_certificate"] = lambda request: (
        200,
        {
            "result": {
                "certificate": certificates.sign(request.json["csr"]),
                "ca": certificates.ca.read_text(),
            }
        },
    )
    director.answers["/application/list"] = []
    (home / ".conpaas").rmdir()
    settings = {"DIRECTOR_URL": director.address, "USERNAME": "ann", "PASSWORD": "pass"}
    os.environ |= {f"CONPAAS_{name}": value for name, value in settings.items()}
    yield home / ".conpaas"
    for name in settings:
        del os.environ[f"CONPAAS_{name}"]


def test_a_certificate_is_got_and_used(cps, newcomer, director, capsys):
    fingerprint = director.certificates.fingerprint
    assert cps("cps-user", "get_certificate", "--fingerprint", fingerprint) == 0
    assert capsys.readouterr().out == "User certificates installed successfully.\n"
    assert director.requests[-1].headers["Authorization"] == "Basic YW5uOnBhc3M="
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in newcomer.iterdir()}
    assert modes == {"ca_cert.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
    assert stat.S_IMODE(newcomer.stat().st_mode) == 0o700
    assert cps(*LIST) == 0
    assert director.peers[-1]["subjectAltName"][0] == ("URI", "conpaas://test/user/owner/1")


def test_a_known_authority_needs_no_fingerprint_and_the_key_is_new(cps, newcomer, director):
    fingerprint = ":".join(
        director.certificates.fingerprint.upper()[i : i + 2] for i in range(0, 64, 2)
    )
    assert cps("cps-user", "get_certificate", "--fingerprint", fingerprint) == 0
    first = (newcomer / "key.pem").read_bytes()
    assert cps("cps-user", "get_certificate") == 0
    assert (newcomer / "key.pem").read_bytes() != first


def test_an_unknown_authority_is_refused_when_nobody_can_be_asked(cps, newcomer, director, capsys):
    assert cps("cps-user", "get_certificate") == 1
    der = ssl.PEM_cert_to_DER_cert(director.certificates.ca.read_text())
    digest = hashlib.sha256(der).hexdigest().upper()
    shown = ":".join(digest[i : i + 2] for i in range(0, 64, 2))
    assert f"give it with --fingerprint {shown}" in capsys.readouterr().err
    assert not newcomer.exists()
    assert [request.method for request in director.requests] == ["GET"]


def test_a_wrong_fingerprint_is_refused_before_the_password_is_sent(
    cps, newcomer, director, capsys
):
    assert cps("cps-user", "get_certificate", "--fingerprint", "00" * 32) == 1
    assert "not the one given: somebody may be in between" in capsys.readouterr().err
    assert "Authorization" not in director.requests[0].headers
    assert not newcomer.exists()


def test_an_authority_that_has_changed_is_not_taken_in_silence(
    cps, newcomer, director, capsys, tmp_path
):
    other = type(director.certificates)(tmp_path)
    newcomer.mkdir()
    (newcomer / "ca_cert.pem").write_bytes(other.ca.read_bytes())
    assert cps("cps-user", "get_certificate") == 1
    assert "ANOTHER THAN BEFORE" in capsys.readouterr().err
    assert (newcomer / "ca_cert.pem").read_bytes() == other.ca.read_bytes()


def test_a_wrong_password_leaves_no_key(cps, newcomer, director, capsys):
    director.refuse("/user/sign_certificate", 401, "unauthenticated", "wrong name or password")
    fingerprint = director.certificates.fingerprint
    assert cps("cps-user", "get_certificate", "--fingerprint", fingerprint) == 1
    assert capsys.readouterr().err == "ERROR: wrong name or password\n"
    assert not (newcomer / "key.pem").exists()
