"""Certificates say who is calling, and only a sound one is believed."""

import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from conpaas.certificates import (
    Authority,
    Identity,
    Role,
    Verifier,
    new_key,
    serial_number,
    signing_request,
)
from conpaas.errors import InvalidError, UnauthenticatedError

AGENT = Identity(Role.AGENT, owner=3, application=7, machine=12)
DAY = dt.timedelta(days=1)
NOON = dt.datetime(2030, 5, 17, 12, 0, 0, tzinfo=dt.UTC).timestamp()


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def authority(tmp_path, clock):
    return Authority.create(tmp_path / "ca", "acme", clock)


@pytest.fixture
def verifier(authority, clock):
    return Verifier(authority.ca_pem, "acme", clock)


def issue(authority, identity=AGENT, lifetime=DAY, hosts=()):
    return authority.issue(signing_request(new_key()), identity, lifetime, hosts)


def complaint(verifier, pem):
    with pytest.raises(UnauthenticatedError) as caught:
        verifier.verify(pem)
    return caught.value.message


@given(
    st.builds(
        Identity,
        st.sampled_from(Role),
        *[st.none() | st.integers(min_value=1, max_value=10**18 - 1)] * 3,
    ),
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True),
)
def test_an_identity_survives_its_uri(identity, deployment):
    assert Identity.from_uri(identity.uri(deployment)) == (deployment, identity)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "conpaas://acme/root",
        "conpaas://acme/Agent",
        "conpaas://acme/AGENT/application/7/machine/1",
        "conpaas://acme/agent/application/0",
        "conpaas://acme/agent/application/07",
        "conpaas://acme/agent/application/-7",
        "conpaas://acme/agent/application/7/owner/3",
        "conpaas://acme/agent/application/7/machine/1/",
        "conpaas://acme/agent/application/7\n",
        "conpaas:///agent",
        "conpaas://ac me/agent",
        "spiffe://acme/agent",
        "conpaas://acme/agent/application/" + "9" * 400,
        "conpaas://acme/agent/application/７",  # noqa: RUF001  (a digit of another script)
    ],
)
def test_a_uri_that_is_no_identity_is_refused(uri):
    with pytest.raises(InvalidError, match="is no ConPaaS identity"):
        Identity.from_uri(uri)


def test_a_pattern_matches_whoever_has_its_role_and_its_numbers():
    assert AGENT.matches(Identity(Role.AGENT))
    assert AGENT.matches(Identity(Role.AGENT, application=7))
    assert not AGENT.matches(Identity(Role.AGENT, application=8))
    assert not AGENT.matches(Identity(Role.MANAGER, application=7))
    assert not Identity(Role.AGENT).matches(AGENT)


def test_an_issued_certificate_tells_whose_it_is(authority, verifier):
    pem = issue(authority)

    verified = verifier.verify(pem)

    assert verified.identity == AGENT
    assert verified.serial == serial_number(pem)
    assert len(verified.serial) == 32
    assert verified.not_after.timestamp() == NOON + 86400
    assert NOON - 3600 < verified.not_before.timestamp() < NOON


def test_a_certificate_carries_what_others_check(authority):
    certificate = x509.load_pem_x509_certificate(
        issue(authority, hosts=["10.77.0.1", "director.example"]).encode()
    )

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(n) for n in names.get_values_for_type(x509.IPAddress)] == ["10.77.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["director.example"]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_serial_numbers_differ(authority):
    key = signing_request(new_key())
    assert len({serial_number(authority.issue(key, AGENT, DAY)) for _ in range(20)}) == 20


def test_an_expired_certificate_is_refused_with_the_time(authority, verifier, clock):
    pem = issue(authority)
    assert verifier.verify(pem).identity == AGENT

    clock.now += 86400 + 1

    assert "expired at 2030-05-18 12:00:00 UTC" in complaint(verifier, pem)


def test_a_certificate_from_the_future_is_refused(authority, verifier, clock):
    clock.now += 3600
    pem = issue(authority)
    clock.now -= 3600

    assert "not valid before 2030-05-17 12:55:00 UTC" in complaint(verifier, pem)


def test_clocks_may_differ_by_a_few_minutes(authority, verifier, clock):
    pem = issue(authority)
    clock.now -= 240
    assert verifier.verify(pem).identity == AGENT


def test_a_revoked_certificate_is_refused_from_then_on(authority, verifier):
    pem, other = issue(authority), issue(authority)
    verifier.verify(pem)

    verifier.revoked = frozenset({serial_number(pem)})

    assert "revoked" in complaint(verifier, pem)
    assert verifier.verify(other).identity == AGENT


def test_a_certificate_of_another_authority_is_refused(tmp_path, verifier, clock):
    twin = Authority.create(tmp_path / "twin", "acme", clock)
    assert "issued by another authority" in complaint(verifier, issue(twin))


def test_an_agent_cannot_issue_certificates(authority, verifier, clock):
    key = new_key()
    own = authority.issue(signing_request(key), AGENT, DAY)
    loaded = serialization.load_pem_private_key(key.encode(), None)
    impostor = Authority(loaded, x509.load_pem_x509_certificate(own.encode()), clock)
    impostor.deployment = "acme"

    assert "issued by another authority" in complaint(verifier, issue(impostor))


def test_an_identity_of_another_deployment_is_refused(authority, clock):
    verifier = Verifier(authority.ca_pem, "other", clock)
    assert "deployment 'acme', not of 'other'" in complaint(verifier, issue(authority))


def test_the_authority_s_own_certificate_is_nobody_s_identity(authority, verifier):
    assert "names no ConPaaS identity" in complaint(verifier, authority.ca_pem)


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----",
        "\x00",
        "\ud800",
        new_key(),
    ],
)
def test_a_malformed_certificate_is_refused(verifier, pem):
    assert "malformed" in complaint(verifier, pem)


def test_the_memory_of_certificates_seen_is_bounded(authority, verifier, monkeypatch):
    monkeypatch.setattr(Verifier, "_REMEMBERED", 2)
    pems = [issue(authority) for _ in range(3)]
    for pem in pems + pems:
        assert verifier.verify(pem).serial == serial_number(pem)
    assert len(verifier._known) == 2


def test_creating_an_authority_twice_keeps_the_first(tmp_path):
    first = Authority.create(tmp_path / "ca", "acme")
    second = Authority.create(tmp_path / "ca", "acme")
    assert first.ca_pem == second.ca_pem == Authority.load(tmp_path / "ca").ca_pem
    assert stat.S_IMODE((tmp_path / "ca" / "ca.key").stat().st_mode) == 0o600


def test_an_authority_half_made_is_finished_with_the_same_key(tmp_path):
    directory = tmp_path / "ca"
    Authority.create(directory, "acme")
    key = (directory / "ca.key").read_text()
    (directory / "ca.pem").unlink()

    Authority.create(directory, "acme")

    assert (directory / "ca.key").read_text() == key


def test_an_authority_that_lost_its_key_is_never_replaced(tmp_path):
    directory = tmp_path / "ca"
    ca = Authority.create(directory, "acme").ca_pem
    (directory / "ca.key").unlink()

    with pytest.raises(InvalidError, match="restore it from a backup"):
        Authority.create(directory, "acme")
    assert (directory / "ca.pem").read_text() == ca


def test_an_authority_is_of_one_deployment(tmp_path):
    Authority.create(tmp_path, "acme")
    with pytest.raises(InvalidError, match="deployment 'acme'"):
        Authority.create(tmp_path, "other")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a" * 64, "ä", "a\n"])
def test_a_deployment_s_name_must_fit_into_a_uri(tmp_path: Path, name: str):
    with pytest.raises(InvalidError, match="cannot name a deployment"):
        Authority.create(tmp_path, name)


def test_a_certificate_never_outlives_its_authority(authority, verifier):
    pem = issue(authority, lifetime=dt.timedelta(days=100_000))
    assert verifier.verify(pem).not_after.year == 2040


@pytest.mark.parametrize(
    "identity",
    [
        Identity(Role.AGENT, application=7),
        Identity(Role.MANAGER, machine=7),
        Identity(Role.USER),
        Identity(Role.USER, owner=1, application=2),
        Identity(Role.DIRECTOR, owner=1),
    ],
)
def test_a_pattern_gets_no_certificate(authority, identity):
    with pytest.raises(InvalidError, match="to just any"):
        issue(authority, identity)


def test_only_a_p256_key_that_signed_its_own_request_gets_a_certificate(authority):
    request = signing_request(new_key())
    der = bytearray(
        x509.load_pem_x509_csr(request.encode()).public_bytes(serialization.Encoding.DER)
    )
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(InvalidError, match="not signed by its own key"):
        authority.issue(forged, AGENT, DAY)

    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)):
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(InvalidError, match="P-256"):
            authority.issue(public.decode(), AGENT, DAY)

    with pytest.raises(InvalidError, match="neither"):
        authority.issue("nonsense", AGENT, DAY)


def test_a_public_key_alone_is_enough(authority, verifier):
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    user = Identity(Role.USER, owner=4)
    assert verifier.verify(authority.issue(pem, user, DAY)).identity == user
