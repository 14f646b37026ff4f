"""How machines join: a token for a certificate, once, for one machine, for a short time."""

import dataclasses
import json

import pytest

from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.director.machines import Life, token_digest
from conpaas.director.models import Machine
from conpaas.testing.network import NetworkPeers

DIRECTOR = "https://director:5555"


@pytest.fixture
def machine(cluster):
    """A machine that shall be and has not joined, with the token ``secret``."""
    aid = cluster.application(start=False)
    return Machine.create(
        application=aid, service=0, role="manager", name="test-mgr", cloud="memory",
        state=Life.BOOTING.value, request="r", address="198.18.0.9",
        token=token_digest("secret"), token_expires=cluster.director.clock() + 900,
    )  # fmt: skip


def join(cluster, token, key):
    body = json.dumps({"token": token, "csr": signing_request(key)}).encode()
    return NetworkPeers(cluster.network).request(
        DIRECTOR, "POST", "/api/v1/join", body=body, headers={"Content-Type": "application/json"}
    )


def said(answer):
    return answer.status, answer.json()["error"]["message"]


def test_a_machine_gets_a_certificate_of_its_own_and_what_it_is_to_do(cluster, machine):
    answer = join(cluster, "secret", new_key())
    assert answer.status == 200
    result = answer.json()["result"]
    identity = cluster.director.verifier.verify(result["certificate"]).identity
    assert identity == Identity(Role.MANAGER, 1, machine.application_id, machine.id)
    assert result["role"] == "manager"
    assert "[manager]" in result["config"]
    assert Machine.get_by_id(machine.id).state == Life.RUNNING


def test_an_unknown_token_opens_nothing(cluster, machine):
    status, message = said(join(cluster, "guessed", new_key()))
    assert (status, "not issued here" in message) == (401, True)
    assert Machine.get_by_id(machine.id).state == Life.BOOTING


def test_a_used_token_is_refused_to_another_key(cluster, machine):
    assert join(cluster, "secret", new_key()).status == 200
    status, message = said(join(cluster, "secret", new_key()))
    assert (status, "used already" in message) == (401, True)


def test_a_lost_answer_can_be_asked_for_again_with_the_same_key(cluster, machine):
    key = new_key()
    assert join(cluster, "secret", key).status == 200
    assert join(cluster, "secret", key).status == 200


def test_a_late_token_is_refused(cluster, machine):
    Machine.update(token_expires=cluster.director.clock() - 1).execute()
    status, message = said(join(cluster, "secret", new_key()))
    assert (status, "expired" in message) == (401, True)


def test_the_token_of_a_machine_that_was_given_up_opens_nothing(cluster, machine):
    cluster.director.room.destroy([machine])
    assert join(cluster, "secret", new_key()).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"token": "secret"}',
        b'{"token": 1, "csr": 2}',
        b'{"token": "secret", "csr": "x"}',
    ],
)
def test_a_malformed_request_is_refused_and_the_token_stays_good(cluster, machine, body):
    answer = NetworkPeers(cluster.network).request(
        DIRECTOR, "POST", "/api/v1/join", body=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status == 400
    assert join(cluster, "secret", new_key()).status == 200


def test_only_the_hash_of_a_token_is_kept(cluster, machine):
    assert "secret" not in json.dumps([str(v) for v in machine.__data__.values()])


def test_a_machine_renews_with_its_certificate_until_it_is_given_up(cluster, machine):
    pem = join(cluster, "secret", new_key()).json()["result"]["certificate"]
    body = json.dumps({"csr": signing_request(new_key())}).encode()

    def renew():
        return NetworkPeers(cluster.network, pem).request(
            DIRECTOR, "POST", "/api/v1/renew", body=body,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip

    answer = renew()
    assert answer.status == 200
    old, new = (
        cluster.director.verifier.verify(each)
        for each in (pem, answer.json()["result"]["certificate"])
    )
    assert dataclasses.astuple(old.identity) == dataclasses.astuple(new.identity)
    assert old.serial != new.serial

    cluster.director.room.destroy([machine])
    cluster.director.refresh_revoked()
    status, message = said(renew())
    assert (status, "revoked" in message) == (401, True)
