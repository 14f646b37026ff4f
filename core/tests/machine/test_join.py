"""A machine joins once, with a key that never leaves it."""

import json
import shutil
import ssl
import stat
import sys

import pytest

from conpaas.certificates import Identity, Role, Verifier
from conpaas.errors import DeniedError, InvalidError, UnreachableError
from conpaas.machine.join import join
from conpaas.machine.places import Places
from conpaas.machine.user_data import parse, render


@pytest.fixture
def places(tmp_path, director):
    places = Places(tmp_path / "root")
    places.configuration.mkdir(parents=True)
    write_join_file(places, director.url, director.authority.ca_pem)
    return places


def write_join_file(places, url, ca, token="secret"):
    (file,) = parse(render(url, ca, token, "acme-1")).files
    places.join_file.write_text(file.content)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def no_sleep(seconds):
    pass


def test_a_machine_gets_identity_task_and_programs(places, director):
    join(places)

    verified = Verifier(places.identity.ca.read_text(), "acme").verify(
        places.identity.certificate.read_text()
    )
    assert verified.identity == Identity(Role.AGENT, owner=1, application=2, machine=3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(places.identity.certificate, places.identity.key)
    assert mode(places.identity.key) == mode(places.configuration / "agent.toml") == 0o600
    assert (places.configuration / "agent.toml").read_text() == 'greeting = "hello"\n'
    assert places.supervisor.names() == ["agent", "front"]
    run = (places.supervisor.directory / "agent" / "run").read_text()
    assert f"exec {sys.executable} -P -m conpaas.agent\n" in run


def test_the_front_is_for_members_of_the_deployment_only(places):
    join(places)
    configuration = (places.state / "front" / "nginx.conf").read_text()
    assert "listen 0.0.0.0:5555 ssl;" in configuration
    assert "ssl_verify_client on;" in configuration
    assert f"unix:{places.sockets / 'agent.sock'}" in configuration


def test_a_manager_listens_on_443(places, director):
    director.tokens["secret"] = Identity(Role.MANAGER, owner=1, application=2, machine=3)
    join(places)
    assert "0.0.0.0:443 ssl" in (places.state / "front" / "nginx.conf").read_text()
    assert places.supervisor.names() == ["front", "manager"]


def test_the_token_and_the_first_key_are_gone_afterwards(places):
    join(places)
    texts = [p.read_text() for p in places.root.rglob("*") if p.is_file()]
    assert not any("secret" in text for text in texts)
    assert not places.join_file.exists()
    assert not (places.configuration / "join.key").exists()


def test_the_private_key_is_never_sent(places, director):
    join(places)
    assert "PRIVATE" not in json.dumps(director.requests)


def test_joining_twice_asks_once(places, director):
    join(places)
    join(places)
    assert len(director.requests) == 1


def test_after_a_lost_answer_the_same_key_is_used(places, director):
    director.trouble.append((0, None))
    join(places, sleep=no_sleep)

    (_, first), (_, second) = director.requests
    keys = {ssl_public_key(body["csr"]) for body in (first, second)}
    assert len(keys) == 1


def test_after_an_interrupted_join_the_same_key_is_used(places, director):
    director.tokens, tokens = {}, director.tokens
    with pytest.raises(DeniedError):
        join(places)
    director.tokens = tokens
    join(places)

    (_, first), (_, second) = director.requests
    assert ssl_public_key(first["csr"]) == ssl_public_key(second["csr"])


def ssl_public_key(csr):
    from cryptography import x509

    return x509.load_pem_x509_csr(csr.encode()).public_key().public_numbers()


def test_a_director_that_is_starting_is_waited_for(places, director, capfd):
    starting = {"error": {"code": "unreachable", "message": "starting", "detail": None}}
    director.trouble += [(503, starting), (502, "nonsense")]
    pauses = []
    join(places, sleep=pauses.append)
    assert pauses == [pytest.approx(0.2), pytest.approx(0.34)]
    assert "The director answers 503" in capfd.readouterr().err


def test_an_unreachable_director_is_given_up_in_the_end(places, capfd):
    write_join_file(places, "https://127.0.0.1:1", json.loads(places.join_file.read_text())["ca"])
    with pytest.raises(UnreachableError, match=r"Given up after 0 s: 127.0.0.1:1 does not answer"):
        join(places, patience=0)
    assert places.join_file.exists()


def test_a_refusal_is_final(places, director):
    director.tokens.clear()
    with pytest.raises(DeniedError, match="The token is used up"):
        join(places, sleep=lambda _: pytest.fail("it tried again"))
    assert len(director.requests) == 1
    assert not places.identity.certificate.exists()


def test_the_token_goes_to_nobody_but_the_director(places, director, tmp_path):
    from conpaas.certificates import Authority

    twin = Authority.create(tmp_path / "twin", "acme")
    write_join_file(places, director.url, twin.ca_pem)
    with pytest.raises(UnreachableError, match=r"certificate of .* is refused"):
        join(places, patience=0)
    assert director.requests == []


def test_without_anything_to_join_there_is_a_clear_error(tmp_path):
    with pytest.raises(InvalidError, match="there is nobody to join"):
        join(Places(tmp_path))


def test_a_damaged_join_file_is_named(places):
    places.join_file.write_text('{"director": 1}')
    with pytest.raises(InvalidError, match=r"join.json is not what a director writes"):
        join(places)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_nginx_accepts_its_configuration(places):
    from conpaas.front import Front

    join(places)
    Front(places.state / "front").check()
