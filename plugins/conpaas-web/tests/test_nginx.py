"""An nginx of a service's own, whatever it serves."""

from __future__ import annotations

import http.client
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conpaas.errors import AgentError, UnreachableError
from conpaas.supervisor.process import ProcessSupervisor
from conpaas_web import nginx as nginx_module
from conpaas_web.nginx import CONFIGURATION_PATH, STATUS_PATH, Nginx

ADDRESS = f"127.{20 + os.getpid() % 230}.251.1"


class Machine:
    """A machine with an nginx that says a word."""

    def __init__(self, root: Path) -> None:
        self.supervisor = ProcessSupervisor(root / "log", pause=0.05)
        self.nginx = Nginx("nginx-test", root, self.supervisor, ADDRESS, 8099)

    def say(self, word: str, more: str = "") -> bool:
        return self.nginx.configure(
            f"access_log off; server {{ listen {ADDRESS}:8099;"
            f' location = / {{ return 200 "{word}"; }} {self.nginx.status_locations} {more} }}',
            drain=5,
        )

    def ask(self, path: str = "/", source: str = "127.0.0.1") -> tuple[int, str]:
        connection = http.client.HTTPConnection(
            ADDRESS, 8099, timeout=5, source_address=(source, 0)
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="conpaas-test-") as name:
        Path(name).chmod(0o755)
        machine = Machine(Path(name))
        yield machine
        machine.nginx.leave()
        machine.supervisor.shutdown()


def test_what_it_is_told_is_in_force_at_once_and_told_again_is_no_news(machine: Machine) -> None:
    assert machine.say("one")
    pid = machine.supervisor.pid("nginx-test")
    assert not machine.say("one")
    for word in ("two", "three", "four"):
        assert machine.say(word)
        assert [machine.ask() for _ in range(5)] == [(200, word)] * 5
    assert machine.supervisor.pid("nginx-test") == pid


def test_what_nginx_refuses_is_told_in_its_words_and_changes_nothing(machine: Machine) -> None:
    machine.say("one")
    with pytest.raises(AgentError, match='unknown directive "nonsense"'):
        machine.say("two", "nonsense;")
    assert machine.ask() == (200, "one")
    assert not machine.say("one")


def test_an_address_that_somebody_else_has_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.say("one")
    with socket.create_server((ADDRESS, 8098)), monkeypatch.context() as patch:
        # nginx itself tries for 2.5 seconds: it has given up before the address is free.
        patch.setattr(nginx_module, "_RELOAD_TIMEOUT", 5.0)
        with pytest.raises(AgentError, match="does not run with what it was told"):
            machine.say("two", f"listen {ADDRESS}:8098;")
    assert machine.ask() == (200, "one")
    assert machine.say("three")
    assert machine.ask() == (200, "three")


def test_a_change_that_was_cut_off_before_nginx_heard_of_it_is_made_up_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.say("one")

    def killed(name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(machine.supervisor, "reload", killed)
        with pytest.raises(KeyboardInterrupt):
            machine.say("two")
    assert machine.ask() == (200, "one")
    machine.say("two")
    assert machine.ask() == (200, "two")


def test_it_tells_about_itself_to_its_own_machine_only(machine: Machine) -> None:
    machine.say("one")
    assert machine.nginx.connections().active >= 1
    for path in (STATUS_PATH, CONFIGURATION_PATH):
        assert machine.ask(path)[0] == 200
        assert machine.ask(path, source="127.9.9.9")[0] == 403


def test_leaving_stops_it_for_good(machine: Machine) -> None:
    machine.say("one")
    machine.nginx.leave()
    machine.nginx.leave()
    assert machine.supervisor.names() == []
    with pytest.raises(UnreachableError):
        machine.nginx.connections()
