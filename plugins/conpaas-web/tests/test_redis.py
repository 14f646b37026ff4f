"""The store of sessions, with a real redis."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conpaas.supervisor.process import ProcessSupervisor
from conpaas_web.parts import SessionStore
from conpaas_web.redis import Redis

PASSWORD = "any thing: $&?%'\"\\ä"
STORE = SessionStore(f"127.{20 + os.getpid() % 230}.250.1", 6401, PASSWORD)


class Machine:
    """A machine that may be restarted: its directory stays."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot()

    def boot(self) -> None:
        self.supervisor = ProcessSupervisor(self.directory / "log", pause=0.05)

    def redis(self, store: SessionStore = STORE, memory: int = 64 << 20) -> Redis:
        return Redis(self.supervisor, self.directory / "sessions", store, memory)


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Unlike pytest's directories, one that redis's own user may enter.
    with tempfile.TemporaryDirectory(prefix="conpaas-test-") as name:
        Path(name).chmod(0o755)
        machine = Machine(Path(name))
        yield machine
        machine.supervisor.shutdown()


def say(*command: str, password: str | None = PASSWORD) -> str:
    """Return what redis-cli prints for a command."""
    environment = dict(os.environ) | ({"REDISCLI_AUTH": password} if password else {})
    done = subprocess.run(
        ["redis-cli", "-h", STORE.address, "-p", str(STORE.port), *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout or done.stderr).strip()


def test_it_needs_the_password(machine: Machine) -> None:
    machine.redis().start()
    assert machine.redis().ping()
    assert say("SET", "a", "1") == "OK"
    assert "NOAUTH" in say("GET", "a", password=None)
    assert "NOAUTH" in say("GET", "a", password="wrong")[-200:]


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "KEYS *", "CONFIG GET *", "DEBUG SLEEP 0", "SHUTDOWN", "SAVE", "ACL LIST",
     "REPLICAOF 127.0.0.1 1", "MODULE LIST", "MONITOR"],
)  # fmt: skip
def test_dangerous_commands_are_refused_and_locks_work(machine: Machine, command: str) -> None:
    machine.redis().start()
    refusal = say(*command.split())
    assert "NOPERM" in refusal or "not allowed" in refusal
    assert say("SET", "lock", "me", "NX", "PX", "5000") == "OK"
    assert say("EVAL", "return redis.call('del', KEYS[1])", "1", "lock") == "1"


def test_starting_it_again_is_no_news(machine: Machine) -> None:
    assert machine.redis().start()
    pid = machine.supervisor.pid("sessions")
    assert not machine.redis().start()
    assert machine.supervisor.pid("sessions") == pid


def test_what_it_keeps_outlives_being_killed_and_the_machine(machine: Machine) -> None:
    machine.redis().start()
    say("SET", "session", "cart", "EX", "1000")
    time.sleep(1.1)  # it writes to the disk once a second
    pid = machine.supervisor.pid("sessions")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while not machine.redis().ping():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert say("GET", "session") == "cart"
    machine.supervisor.shutdown()
    machine.boot()
    machine.redis().start()
    assert say("GET", "session") == "cart"


def test_a_new_password_counts_at_once_and_what_it_keeps_stays(machine: Machine) -> None:
    machine.redis().start()
    say("SET", "session", "cart", "EX", "1000")
    assert machine.redis(SessionStore(STORE.address, STORE.port, "other")).start()
    assert "NOAUTH" in say("GET", "session")[-200:]
    assert say("GET", "session", password="other") == "cart"


def test_when_it_is_full_the_oldest_sessions_go(machine: Machine) -> None:
    machine.redis(memory=4 << 20).start()
    value = "x" * 100_000
    for number in range(60):
        assert say("SET", f"session:{number}", value, "EX", "1000") == "OK"
    assert say("EXISTS", "session:59") == "1"
    assert int(say("DBSIZE")) < 60


def test_its_password_is_nowhere_to_be_read(machine: Machine) -> None:
    machine.redis().start()
    for file in machine.directory.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes()
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=True)
    assert PASSWORD.encode() not in listed.stdout


def test_it_does_not_run_as_root(machine: Machine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give it another user")
    machine.redis().start()
    pid = machine.supervisor.pid("sessions")
    assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_it_listens_wherever_it_can_when_no_interface_has_its_address(machine: Machine) -> None:
    redis = machine.redis(SessionStore("192.0.2.77", STORE.port, PASSWORD))
    redis.start()
    assert redis.ping()


def test_leaving_stops_it_for_good(machine: Machine) -> None:
    machine.redis().start()
    machine.redis().leave()
    machine.redis().leave()
    assert not machine.redis().is_running()
    assert machine.supervisor.names() == []
