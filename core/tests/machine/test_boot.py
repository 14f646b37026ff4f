"""The first boot carries out the user-data, later ones only supervise."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.machine.boot import boot
from conpaas.machine.main import main
from conpaas.machine.places import Places
from conpaas.machine.user_data import render


@pytest.fixture
def places(tmp_path):
    places = Places(tmp_path / "root")
    places.seed.parent.mkdir(parents=True)
    return places


def seed(places, body):
    places.seed.write_text(f"#cloud-config\n{body}")


def test_files_are_written_before_commands_run(places):
    seed(places, '{"write_files": [{"path": "/etc/a/b", "content": "x", "permissions": "0600"}],'
         ' "runcmd": [["one", "two"]]}')  # fmt: skip
    seen = []

    boot(places, lambda command: seen.append((command, (places.root / "etc/a/b").read_text())))

    assert seen == [(("one", "two"), "x")]
    assert (places.root / "etc/a/b").stat().st_mode & 0o777 == 0o600


def test_a_second_boot_carries_nothing_out(places):
    seed(places, '{"runcmd": [["one"]]}')
    boot(places, lambda command: None)
    boot(places, lambda command: pytest.fail("carried out again"))


def test_an_interrupted_boot_is_carried_out_again(places):
    seed(places, '{"runcmd": [["one"], ["two"]]}')
    seen = []

    def power_cut(command):
        seen.append(command)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boot(places, power_cut)
    boot(places, seen.append)

    assert seen == [("one",), ("two",), ("one",), ("two",)]


def test_commands_are_run(places, tmp_path):
    seed(places, f'{{"runcmd": ["echo hello > {tmp_path}/out"]}}')
    boot(places)
    assert (tmp_path / "out").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [('["false"]', "failed with status 1"), ('["/no/such"]', "cannot be run")],
)
def test_a_command_that_fails_fails_the_boot(places, command, complaint):
    seed(places, f'{{"runcmd": [{command}]}}')
    with pytest.raises(AgentError, match=complaint):
        boot(places)
    with pytest.raises(AgentError, match=complaint):
        boot(places)


def test_without_user_data_there_is_a_clear_error(places, capfd):
    with pytest.raises(InvalidError, match="gave no user-data"):
        boot(places)
    assert main(["--root", str(places.root), "boot"]) == 1
    assert "conpaas-machine: " in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("s6-svscan") is None, reason="needs Debian's s6")
def test_a_machine_boots_joins_and_supervises(places, director):
    places.seed.write_text(render(director.url, director.authority.ca_pem, "secret", "acme-1"))
    for name in ("front", "agent"):  # their real ports are not for tests
        places.supervisor.define(name, ["true"], down=True)
    command = [sys.executable, "-m", "conpaas.machine.main", "--root", str(places.root)]
    for _ in range(2):
        process = subprocess.Popen([*command, "boot"], stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not places.supervisor.is_active():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert places.supervisor.names() == ["agent", "front"]
            assert "conpaas.agent" in (places.supervisor.directory / "agent/run").read_text()
            assert os.readlink(f"/proc/{process.pid}/exe").endswith("s6-svscan")
        finally:
            places.supervisor.shutdown()
            process.wait(60)
    assert len(director.requests) == 1
