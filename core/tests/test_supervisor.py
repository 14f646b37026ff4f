"""Both supervisors keep programs running, and keep them stopped."""

import abc
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError, NotFoundError, UnreachableError
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.supervisor.s6 import Supervisor
from conpaas.testing.waiting import eventually

SLEEPER = ["sleep", "1000"]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead process whose parent has not looked yet is dead all the same.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


class SupervisorContract(abc.ABC):
    @pytest.fixture
    @abc.abstractmethod
    def supervisor(self):
        """A running supervisor, shut down after the test."""

    def test_a_program_runs_after_a_scan(self, supervisor):
        assert supervisor.define("sleeper", SLEEPER)
        assert not supervisor.is_running("sleeper")

        supervisor.scan()

        pid = eventually(lambda: supervisor.pid("sleeper"))
        assert is_alive(pid)
        assert supervisor.names() == ["sleeper"]

    def test_starting_does_not_need_a_scan(self, supervisor):
        supervisor.define("sleeper", SLEEPER, down=True)
        supervisor.start("sleeper")
        assert supervisor.is_running("sleeper")

    def test_a_program_defined_as_down_waits_for_its_start(self, supervisor):
        supervisor.define("sleeper", SLEEPER, down=True)
        supervisor.define("other", SLEEPER)
        supervisor.scan()
        eventually(lambda: supervisor.is_running("other"))

        assert not supervisor.is_running("sleeper")

    def test_defining_says_what_changed(self, supervisor):
        assert supervisor.define("sleeper", SLEEPER)
        assert not supervisor.define("sleeper", SLEEPER)
        assert supervisor.define("sleeper", SLEEPER, environment={"A": "1"})
        assert supervisor.define("sleeper", SLEEPER, environment={"A": "1"}, ready_fd=3)
        assert supervisor.define("sleeper", SLEEPER, environment={"A": "1"})
        assert not supervisor.define("sleeper", SLEEPER, environment={"A": "1"}, down=True)

    def test_a_killed_program_comes_back(self, supervisor):
        supervisor.define("sleeper", SLEEPER)
        supervisor.start("sleeper")
        pid = supervisor.pid("sleeper")

        os.kill(pid, signal.SIGKILL)

        eventually(lambda: supervisor.pid("sleeper") not in (None, pid))

    def test_a_stopped_program_stays_down_over_scans_until_it_is_started(self, supervisor):
        supervisor.define("sleeper", SLEEPER)
        supervisor.start("sleeper")
        pid = supervisor.pid("sleeper")

        supervisor.stop("sleeper")
        supervisor.stop("sleeper")
        supervisor.scan()

        assert not is_alive(pid)
        assert not supervisor.is_running("sleeper")
        supervisor.start("sleeper")
        assert supervisor.is_running("sleeper")

    def test_starting_what_runs_leaves_it_alone(self, supervisor):
        supervisor.define("sleeper", SLEEPER)
        supervisor.start("sleeper")
        pid = supervisor.pid("sleeper")
        supervisor.start("sleeper")
        assert supervisor.pid("sleeper") == pid

    def test_a_restart_takes_the_new_definition(self, supervisor):
        supervisor.define("sleeper", SLEEPER)
        supervisor.start("sleeper")
        before = supervisor.pid("sleeper")
        supervisor.define("sleeper", ["sleep", "2000"])
        assert supervisor.pid("sleeper") == before

        supervisor.restart("sleeper")

        # The shell that begins it becomes the program a moment later.
        eventually(
            lambda: "2000" in Path(f"/proc/{supervisor.pid('sleeper')}/cmdline").read_text()
        )

    def test_arguments_environment_and_directory_arrive_unchanged(self, supervisor, tmp_path):
        odd = 'it\'s $HOME `id` "q" \\ * \n; ä'
        directory = tmp_path / "a b'c"
        directory.mkdir()
        script = 'printf "%s|%s|%s|" "$1" "$ODD" "$PWD"; echo to-stderr >&2; exec sleep 1000'
        supervisor.define(
            "echo", ["sh", "-c", script, "sh", odd], environment={"ODD": odd}, cwd=directory
        )
        supervisor.start("echo")

        log = supervisor.log_file("echo")
        wanted = f"{odd}|{odd}|{directory}|to-stderr\n"
        eventually(lambda: log.exists() and log.read_text() == wanted)

    def test_the_log_goes_on_over_restarts(self, supervisor):
        supervisor.define("talker", ["sh", "-c", "echo started; exec sleep 1000"])
        supervisor.start("talker")
        eventually(lambda: "started" in supervisor.tail("talker"))
        supervisor.restart("talker")
        eventually(lambda: supervisor.tail("talker") == "started\nstarted")
        assert supervisor.tail("talker", lines=1) == "started"

    def test_a_start_waits_until_the_program_is_ready(self, supervisor, tmp_path):
        flag = tmp_path / "ready"
        script = f"sleep 0.2; touch {flag}; echo >&5; exec sleep 1000"
        supervisor.define("slow", ["sh", "-c", script], ready_fd=5, down=True)
        supervisor.start("slow")
        assert flag.exists()

    def test_a_program_that_never_gets_ready_fails_with_its_last_words(self, supervisor):
        script = "echo the disk is full; exec sleep 1000"
        supervisor.define("broken", ["sh", "-c", script], ready_fd=3, down=True)
        with pytest.raises(AgentError, match=r"(?s)'broken' has not started.*the disk is full"):
            supervisor.start("broken", wait=0.5)

    def test_a_program_that_does_not_end_is_an_error(self, supervisor):
        script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
        supervisor.define("deaf", ["sh", "-c", script])
        supervisor.start("deaf")
        eventually(lambda: "deaf" in supervisor.tail("deaf"))
        with pytest.raises(AgentError, match="has not stopped within"):
            supervisor.stop("deaf", wait=0.1)
        os.kill(supervisor.pid("deaf"), signal.SIGKILL)

    def test_a_program_is_stopped_by_the_signal_that_it_wants(self, supervisor):
        script = "trap 'echo bye; exit' QUIT; echo up; while :; do sleep 0.02; done"
        supervisor.define("polite", ["sh", "-c", script], stop_signal="QUIT")
        supervisor.start("polite")
        eventually(lambda: "up" in supervisor.tail("polite"))

        supervisor.stop("polite")

        eventually(lambda: "bye" in supervisor.tail("polite"))

    def test_a_program_that_does_not_stop_is_killed_after_its_own_time(self, supervisor):
        script = "trap '' QUIT; echo deaf; while :; do sleep 0.02; done"
        command = ["sh", "-c", script]
        supervisor.define("deaf", command, stop_signal="QUIT", kill_after=0.3)
        supervisor.start("deaf")
        eventually(lambda: "deaf" in supervisor.tail("deaf"))
        supervisor.stop("deaf", wait=5)
        assert not supervisor.is_running("deaf")

    def test_what_a_killed_program_leaves_is_killed_where_that_is_wanted(
        self, supervisor, tmp_path
    ):
        script = f"sleep 1000 & echo $! >> {tmp_path}/children; wait"
        supervisor.define("server", ["sh", "-c", script], whole=True)
        supervisor.start("server")
        children = tmp_path / "children"
        child = int(eventually(lambda: children.exists() and children.read_text().strip()))

        os.kill(supervisor.pid("server"), signal.SIGKILL)

        eventually(lambda: not is_alive(child))
        eventually(lambda: len(children.read_text().split()) == 2)  # and it came back

    def test_signals_reach_the_program(self, supervisor):
        script = (
            "trap 'echo hup' HUP; trap 'echo usr1' USR1; echo up; while :; do sleep 0.02; done"
        )
        supervisor.define("listener", ["sh", "-c", script])
        supervisor.start("listener")
        eventually(lambda: "up" in supervisor.tail("listener"))
        supervisor.reload("listener")
        eventually(lambda: "hup" in supervisor.tail("listener"))
        supervisor.signal("listener", "USR1")
        eventually(lambda: "usr1" in supervisor.tail("listener"))

    def test_signalling_what_is_down_does_nothing(self, supervisor):
        supervisor.define("sleeper", SLEEPER, down=True)
        supervisor.reload("sleeper")
        with pytest.raises(InvalidError, match="no signal to send"):
            supervisor.signal("sleeper", "EMT")

    def test_a_removed_program_is_gone_but_its_log_stays(self, supervisor):
        supervisor.define("talker", ["sh", "-c", "echo hello; exec sleep 1000"])
        supervisor.start("talker")
        eventually(lambda: "hello" in supervisor.tail("talker"))
        pid = supervisor.pid("talker")

        supervisor.remove("talker")
        supervisor.remove("talker")

        assert not is_alive(pid)
        assert supervisor.names() == []
        assert "hello" in supervisor.tail("talker")
        supervisor.define("talker", SLEEPER)
        supervisor.start("talker")
        assert supervisor.is_running("talker")

    def test_what_is_not_defined_cannot_be_started(self, supervisor):
        supervisor.define("known", SLEEPER)
        for call in (supervisor.start, supervisor.stop, supervisor.reload):
            with pytest.raises(NotFoundError, match="there are: known"):
                call("unknown")
        assert not supervisor.is_running("unknown")

    @pytest.mark.parametrize("name", ["", ".x", "a/b", "../x", "a b", "-a", "a\n", "a" * 64, "ä"])
    def test_a_name_must_be_plain(self, supervisor, name):
        with pytest.raises(InvalidError, match="cannot name a program"):
            supervisor.define(name, SLEEPER)
        with pytest.raises(InvalidError, match="cannot name a program"):
            supervisor.remove(name)

    def test_a_definition_must_be_possible(self, supervisor):
        with pytest.raises(InvalidError, match="needs a command"):
            supervisor.define("a", [])
        with pytest.raises(InvalidError, match="zero byte"):
            supervisor.define("a", ["echo", "\0"])
        with pytest.raises(InvalidError, match="cannot name a variable"):
            supervisor.define("a", ["echo"], environment={"A B": "1"})
        assert supervisor.names() == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may become someone else")
    def test_a_program_runs_as_its_user(self, supervisor):
        supervisor.define("sleeper", SLEEPER, user="nobody")
        supervisor.start("sleeper")
        nobody = pwd.getpwnam("nobody").pw_uid
        process = Path(f"/proc/{supervisor.pid('sleeper')}")
        eventually(lambda: process.stat().st_uid == nobody)

    def test_a_shutdown_leaves_nothing_running(self, supervisor):
        pids = []
        for name in ("one", "two"):
            supervisor.define(name, SLEEPER)
            supervisor.start(name)
            pids.append(supervisor.pid(name))

        supervisor.shutdown()
        supervisor.shutdown()

        assert not supervisor.is_active()
        assert not any(is_alive(pid) for pid in pids)
        with pytest.raises(UnreachableError):
            supervisor.scan()


class TestProcessSupervisor(SupervisorContract):
    @pytest.fixture
    def supervisor(self, tmp_path):
        supervisor = ProcessSupervisor(tmp_path / "log", pause=0.05)
        yield supervisor
        supervisor.shutdown()

    def test_a_command_that_does_not_exist_is_an_error(self, supervisor):
        supervisor.define("typo", ["no-such-program"])
        with pytest.raises(AgentError, match="no-such-program cannot be started"):
            supervisor.start("typo", wait=0.2)


@pytest.mark.skipif(shutil.which("s6-svscan") is None, reason="needs Debian's s6")
class TestSupervisor(SupervisorContract):
    @pytest.fixture
    def supervisor(self, tmp_path):
        supervisor = Supervisor(tmp_path / "service", tmp_path / "log")
        supervisor.directory.mkdir()
        process = subprocess.Popen(supervisor.run_command(), stdin=subprocess.DEVNULL)
        eventually(supervisor.is_active)
        yield supervisor
        supervisor.shutdown()
        process.wait(10)

    def test_without_s6_svscan_there_is_an_error_that_names_it(self, tmp_path):
        supervisor = Supervisor(tmp_path / "service", tmp_path / "log")
        assert not supervisor.is_active()
        supervisor.define("sleeper", SLEEPER)
        with pytest.raises(UnreachableError, match="start s6-svscan"):
            supervisor.start("sleeper")

    def test_a_stopped_program_stays_so_over_a_restart_of_the_machine(self, tmp_path):
        supervisor = Supervisor(tmp_path / "service", tmp_path / "log")
        for name in ("wanted", "unwanted"):
            supervisor.define(name, SLEEPER)
        for _ in range(2):
            process = subprocess.Popen(supervisor.run_command(), stdin=subprocess.DEVNULL)
            eventually(lambda: supervisor.is_running("wanted"))
            supervisor.stop("unwanted")
            supervisor.shutdown()
            process.wait(10)
        assert (supervisor.directory / "unwanted" / "down").exists()
        assert not (supervisor.directory / "wanted" / "down").exists()

    def test_the_log_is_cut_into_parts(self, supervisor):
        supervisor.define("chatter", ["sh", "-c", "seq 1000000; exec sleep 1000"])
        supervisor.start("chatter")
        eventually(lambda: supervisor.tail("chatter", 1) == "1000000")
        parts = list(supervisor.log_file("chatter").parent.iterdir())
        assert len([part for part in parts if part.name.startswith("@")]) == 3

    def test_a_shutdown_ends_even_what_ignores_sigterm(self, supervisor):
        script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
        supervisor.define("deaf", ["sh", "-c", script], kill_after=0.3)
        supervisor.start("deaf")
        eventually(lambda: "deaf" in supervisor.tail("deaf"))
        pid = supervisor.pid("deaf")
        supervisor.shutdown()
        assert not is_alive(pid)

    def test_what_is_told_to_end_while_it_begins_ends(self, tmp_path):
        for number in range(20):
            supervisor = Supervisor(tmp_path / f"service-{number}", tmp_path / "log")
            for name in ("one", "two"):
                supervisor.define(name, SLEEPER, down=True)
            process = subprocess.Popen(supervisor.run_command(), stdin=subprocess.DEVNULL)
            eventually(supervisor.is_active)
            time.sleep(number / 1000)  # another moment of its beginning each time
            supervisor.shutdown()
            process.wait(10)
