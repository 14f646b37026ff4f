"""A certificate is renewed in good time, and nobody notices."""

import json
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from conpaas.certificates import Identity, Role, Verifier, new_key, serial_number, signing_request
from conpaas.front import Front
from conpaas.machine.places import IdentityFiles
from conpaas.machine.renew import Renewal
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.testing.waiting import eventually
from conpaas.transport import Peers, TlsFiles

AGENT = Identity(Role.AGENT, owner=1, application=2, machine=3)
DAY = 86400.0


class RecordingSupervisor(ProcessSupervisor):
    """Remembers who was to be reloaded."""

    def __init__(self, logs):
        super().__init__(logs)
        self.reloaded = []

    def reload(self, name):
        self.reloaded.append(name)


class Machine:
    def __init__(self, directory, director):
        directory.mkdir()
        self.now = time.time()
        self.files = IdentityFiles(directory)
        self.files.ca.write_text(director.authority.ca_pem)
        key = new_key()
        self.files.replace(
            key, director.authority.issue(signing_request(key), AGENT, director.lifetime)
        )
        self.verifier = Verifier(director.authority.ca_pem, "acme")
        self.peers = Peers(TlsFiles(self.files.ca, self.files.certificate, self.files.key))
        self.supervisor = RecordingSupervisor(directory / "log")
        self.renewed = []
        self.renewal = Renewal(
            director.url,
            self.peers,
            self.verifier,
            self.files,
            self.supervisor,
            lambda: self.renewed.append(self.serial),
            clock=lambda: self.now,
        )

    @property
    def serial(self):
        return serial_number(self.files.certificate.read_text())


@pytest.fixture
def machine(tmp_path, director):
    machine = Machine(tmp_path / "machine", director)
    yield machine
    machine.renewal.stop()
    machine.peers.close()
    machine.supervisor.shutdown()


def asked(director, path):
    return sum(1 for asked, _ in director.requests if asked == path)


def test_a_young_certificate_is_left_alone(machine, director):
    first = machine.serial
    machine.now += DAY * 0.6
    machine.renewal.step()
    assert machine.serial == first
    assert asked(director, "/api/v1/renew") == 0
    assert machine.supervisor.reloaded == []


def test_after_two_thirds_of_its_life_it_is_renewed(machine, director):
    first, key = machine.serial, machine.files.key.read_text()
    machine.now += DAY * 0.7

    machine.renewal.step()

    assert machine.serial != first
    assert machine.files.key.read_text() != key
    assert machine.verifier.verify(machine.files.certificate.read_text()).identity == AGENT
    assert machine.supervisor.reloaded == ["front"]
    assert machine.renewed == [machine.serial]
    assert "PRIVATE" not in json.dumps(director.requests)


def test_key_and_certificate_always_belong_together(machine):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    machine.now += DAY * 0.7
    for _ in range(4):
        machine.renewal.step()
        context.load_cert_chain(machine.files.certificate, machine.files.key)
        assert machine.files.key.stat().st_mode & 0o777 == 0o600
        machine.now += DAY


def test_a_failed_renewal_is_tried_again_soon(machine, director, caplog):
    first = machine.serial
    error = {"code": "internal", "message": "the disk is full", "detail": None}
    machine.now += DAY * 0.7
    director.trouble += [(200, {"result": []}), (500, {"error": error})]

    assert machine.renewal.step() <= 60
    assert machine.serial == first
    assert "the disk is full" in caplog.text
    machine.renewal.step()
    assert asked(director, "/api/v1/renew") == 1

    machine.now += 301
    machine.renewal.step()
    assert machine.serial != first


@pytest.mark.parametrize("answer", [{"result": {}}, {}, [], {"result": {"certificate": "x"}}])
def test_a_strange_answer_changes_nothing(machine, director, answer):
    first = machine.serial
    machine.now += DAY * 0.7
    director.trouble += [(200, {"result": 5}), (200, answer)]
    machine.renewal.step()
    assert machine.serial == first
    assert machine.verifier.revoked == frozenset()


def test_a_certificate_of_another_key_is_refused(machine, director, caplog):
    first = machine.serial
    other = director.authority.issue(
        signing_request(new_key()), AGENT, machine.verifier.verify(
            machine.files.certificate.read_text()
        ).not_after - machine.verifier.verify(machine.files.certificate.read_text()).not_before
    )  # fmt: skip
    machine.now += DAY * 0.7
    director.trouble += [(200, {"result": []}), (200, {"result": {"certificate": other}})]
    machine.renewal.step()
    assert machine.serial == first
    assert "not for the key that was sent" in caplog.text


def test_revoked_certificates_are_known_within_a_minute(machine, director):
    assert machine.renewal.step() <= 60
    director.revoked = ["00ff"]
    machine.now += 30
    machine.renewal.step()
    assert machine.verifier.revoked == frozenset()
    machine.now += 30
    machine.renewal.step()
    assert machine.verifier.revoked == frozenset({"00ff"})


def test_what_is_revoked_stays_so_while_the_director_is_away(machine, director):
    director.revoked = ["00ff"]
    machine.renewal.step()
    machine.now += 60
    director.trouble.append((503, {}))
    machine.renewal.step()
    assert machine.verifier.revoked == frozenset({"00ff"})


def test_a_clock_set_back_does_not_stop_it(machine, director):
    machine.renewal.step()
    machine.now -= 10 * DAY
    machine.renewal.step()
    assert asked(director, "/api/v1/revoked") == 2


def test_it_works_in_the_background(machine, director):
    renewed = threading.Event()
    machine.renewal._on_renewed = renewed.set
    machine.now += DAY * 0.7
    machine.renewal.start()
    assert renewed.wait(10)
    machine.renewal.stop()
    assert machine.supervisor.reloaded == ["front"]


def test_a_crash_after_a_renewal_does_not_leave_the_front_with_the_old_certificate(
    machine, director
):
    reloaded = threading.Event()
    machine.files.replace(machine.files.key.read_text(), machine.files.certificate.read_text())
    machine.supervisor.reload = lambda name: reloaded.set()
    machine.renewal.start()
    assert reloaded.wait(10)
    machine.renewal.stop()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_the_front_shows_the_new_certificate_without_a_restart(machine, director, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    front = Front(tmp_path / "front")
    front.configure(
        listen=[("127.0.0.1", port)],
        upstream=tmp_path / "nobody.sock",
        certificate=machine.files.certificate,
        key=machine.files.key,
    )
    process = subprocess.Popen(front.command())
    try:

        def shown():
            try:
                return serial_number(ssl.get_server_certificate(("127.0.0.1", port)))
            except OSError:
                return None

        eventually(lambda: shown() == machine.serial)
        first = machine.serial
        machine.now += DAY * 0.7
        machine.renewal.step()
        assert machine.serial != first
        process.send_signal(1)
        eventually(lambda: shown() == machine.serial)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(10)
