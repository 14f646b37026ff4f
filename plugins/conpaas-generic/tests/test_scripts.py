"""Scripts on one machine, with real bash and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from conpaas.scripts import runner
from conpaas.scripts.processes import identity
from conpaas.scripts.runs import KILLED, NEVER_STARTED, RUNNING, Run
from conpaas.testing.waiting import eventually
from conpaas_generic.scripts import NotStartedError, Scripts, launch

Code = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("no_survivors")
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def scripts_of(tmp_path: Path, launch: Callable[[Run], None] = launch) -> Scripts:
    """Return a new object, as an agent that has just started makes it."""
    return Scripts(tmp_path / "runs", tmp_path / "out", tmp_path / "err", launch=launch, grace=0.5)


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return scripts_of(tmp_path)


def start(scripts: Scripts, code: Path, script: str, number: str = "1", *arguments: str) -> bool:
    return scripts.start("code-a", code, script, number, arguments, ENVIRONMENT)


def status(scripts: Scripts, script: str) -> str:
    return scripts.statuses("code-a")[script]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def alive(path: Path) -> list[int]:
    """Return which of the processes still live that wrote their numbers into a file."""
    return [int(pid) for pid in lines(path) if identity(int(pid))]


# -- life of a script -----------------------------------------------------------------------------


def test_a_script_goes_from_never_started_over_running_to_its_return_code(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    directory = code(run=f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; exit 3")
    assert status(scripts, "run") == NEVER_STARTED
    assert start(scripts, directory, "run")
    assert status(scripts, "run") == RUNNING
    assert [run.script for run in scripts.running()] == ["run"]
    (tmp_path / "go").touch()
    eventually(lambda: status(scripts, "run") == "STOPPED (return code 3)")
    assert scripts.running() == []


def test_output_goes_to_the_logs_and_is_appended(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    directory = code(run="echo out; echo err >&2")
    for number in ("1", "2"):
        start(scripts, directory, "run", number)
        eventually(lambda: not scripts.running())
    assert (tmp_path / "out").read_text() == "out\nout\n"
    assert (tmp_path / "err").read_text() == "err\nerr\n"


def test_parameters_arrive_as_they_are(scripts: Scripts, code: Code, tmp_path: Path) -> None:
    given = ["$(id)", "a b", "", "*", "-rf", "`id`", "ü\n;"]
    start(scripts, code(run="printf '%s\\0' \"$@\""), "run", "1", *given)
    eventually(lambda: status(scripts, "run") == "STOPPED (return code 0)")
    assert (tmp_path / "out").read_text().split("\0")[:-1] == given


def test_a_script_has_its_own_environment_directory_and_session_and_no_input(
    scripts: Scripts, code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    directory = code(
        run="env; echo cwd=$(pwd -P); read x || echo no input; ps -o sid= $$; echo $$"
    )
    start(scripts, directory, "run")
    eventually(lambda: status(scripts, "run") == "STOPPED (return code 0)")
    printed = lines(tmp_path / "out")
    assert f"cwd={directory}" in printed
    assert f"PWD={directory}" in printed
    assert "no input" in printed
    assert printed[-2].strip() == printed[-1]
    assert "canary" not in (tmp_path / "out").read_text()


@pytest.mark.parametrize(("text", "code_"), [("kill -9 $$", 137), ("kill $$", 143), ("", 0)])
def test_return_codes_are_those_of_shells(
    scripts: Scripts, code: Code, text: str, code_: int
) -> None:
    start(scripts, code(run=text), "run")
    eventually(lambda: status(scripts, "run") == f"STOPPED (return code {code_})")


def test_a_script_that_is_missing_stays_never_started(scripts: Scripts, code: Code) -> None:
    directory = code()
    (directory / "notify.sh").mkdir()
    assert not start(scripts, directory, "run")
    assert not start(scripts, directory, "notify")
    assert set(scripts.statuses("code-a").values()) == {NEVER_STARTED}


def test_each_version_has_statuses_of_its_own(scripts: Scripts, code: Code) -> None:
    start(scripts, code(run="exit 1"), "run")
    eventually(lambda: status(scripts, "run") == "STOPPED (return code 1)")
    assert scripts.statuses("code-b")["run"] == NEVER_STARTED
    assert scripts.statuses(None)["run"] == NEVER_STARTED


def test_the_last_words_are_those_of_the_run(scripts: Scripts, code: Code, tmp_path: Path) -> None:
    (tmp_path / "err").write_text("old\n")
    start(scripts, code(init="for i in $(seq 20); do echo line $i >&2; done"), "init")
    eventually(lambda: not scripts.running())
    (run,) = scripts.runs("code-a", "init")
    assert scripts.last_words(run, 3) == "line 18\nline 19\nline 20"
    assert "old" not in scripts.last_words(run, 100)


def test_logs_do_not_grow_for_ever(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conpaas_generic.scripts.LOG_LIMIT", 100_000)
    scripts = scripts_of(tmp_path)
    chatter = "i=0; while :; do echo $((i++)); [ $((i % 500)) = 0 ] && sleep 0.001; done"
    start(scripts, code(run=chatter), "run")
    eventually(lambda: (tmp_path / "out.1").exists())
    eventually(lambda: (tmp_path / "out").stat().st_size < 50_000)
    eventually(lambda: (tmp_path / "out").stat().st_size > 50_000)
    assert (tmp_path / "out.1").stat().st_size == 50_000
    # What is written after the cut stands at the beginning, not behind a hole.
    assert b"\0" not in (tmp_path / "out").read_bytes()


def test_shortening_a_log_that_is_gone_or_short_does_nothing(tmp_path: Path) -> None:
    runner.shorten(tmp_path / "none", 10)
    (tmp_path / "log").write_text("short")
    runner.shorten(tmp_path / "log", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


# -- at most once ---------------------------------------------------------------------------------


def test_the_same_run_never_runs_twice(scripts: Scripts, code: Code, tmp_path: Path) -> None:
    directory = code(init="echo once")
    for again in (scripts, scripts, scripts_of(tmp_path)):
        assert start(again, directory, "init")
        eventually(lambda: status(scripts, "init") == "STOPPED (return code 0)")
    assert lines(tmp_path / "out") == ["once"]


def test_runners_that_race_run_the_script_once(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    noted = scripts_of(tmp_path, launch=lambda run: None)
    start(noted, code(init="echo once"), "init")
    run = noted.find("code-a", "init", "1")
    racers = [threading.Thread(target=launch, args=[run]) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    eventually(lambda: run.status == "STOPPED (return code 0)")
    assert lines(tmp_path / "out") == ["once"]


class Crash(BaseException):
    """The agent's process dies here."""


def dies(*_: object) -> None:
    raise Crash


def launches_and_dies(run: Run) -> None:
    launch(run)
    raise Crash


@pytest.mark.parametrize("launcher", [dies, launches_and_dies])
def test_whoever_starts_it_may_die_before_and_after(
    code: Code, tmp_path: Path, launcher: Callable[[Run], None]
) -> None:
    directory = code(init="echo once")
    with pytest.raises(Crash):
        start(scripts_of(tmp_path, launcher), directory, "init")
    fresh = scripts_of(tmp_path)
    start(fresh, directory, "init")
    eventually(lambda: status(fresh, "init") == "STOPPED (return code 0)")
    assert lines(tmp_path / "out") == ["once"]


def test_older_runs_are_forgotten_but_those_of_init(scripts: Scripts, code: Code) -> None:
    directory = code(run="true", init="true")
    for number in ("1", "2", "3"):
        for script in ("run", "init"):
            start(scripts, directory, script, number)
            eventually(lambda: not scripts.running())
    assert [run.path.name for run in scripts.runs("code-a", "run")] == ["run.3"]
    assert len(scripts.runs("code-a", "init")) == 3


def test_a_start_that_fails_is_told(
    scripts: Scripts, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with pytest.raises(NotStartedError, match=r"run\.sh cannot be started"):
        start(scripts, code(run="true"), "run")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NotStartedError, match=r"run\.sh cannot be started"):
        start(scripts, code(run="true"), "run")


# -- outliving ------------------------------------------------------------------------------------


def test_a_script_outlives_who_started_it(code: Code, tmp_path: Path) -> None:
    directory = code(run=f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; exit 7")
    agent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from conpaas_generic.scripts import Scripts\n"
            "at = pathlib.Path(sys.argv[1])\n"
            "s = Scripts(at / 'runs', at / 'out', at / 'err')\n"
            f"s.start('code-a', pathlib.Path(sys.argv[2]), 'run', '1', [], {ENVIRONMENT!r})\n"
            "print('started', flush=True)\n"
            "time.sleep(60)\n",
            str(tmp_path),
            str(directory),
        ],
        stdout=subprocess.PIPE,
    )
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"started\n"
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()
    fresh = scripts_of(tmp_path)
    assert status(fresh, "run") == RUNNING
    (tmp_path / "go").touch()
    eventually(lambda: status(fresh, "run") == "STOPPED (return code 7)")


def test_a_script_whose_runner_was_killed_is_told(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    start(scripts, code(run=f"echo $$ > {tmp_path}/pid; sleep 60"), "run")
    (run,) = scripts.running()
    assert run.runner is not None
    eventually(lambda: lines(tmp_path / "pid"))
    family = psutil.Process(run.runner.pid).children(recursive=True)
    os.kill(run.runner.pid, signal.SIGKILL)
    eventually(lambda: status(scripts, "run") == KILLED)
    for process in family:
        process.kill()


def test_a_reboot_is_noticed_even_when_the_number_is_taken_again(
    scripts: Scripts, code: Code
) -> None:
    start(scripts, code(run="true"), "run")
    eventually(lambda: not scripts.running())
    run = scripts.find("code-a", "run", "1")
    bystander = subprocess.Popen(["sleep", "600"])
    who = identity(bystander.pid)
    assert who is not None
    for other in (replace(who, boot="another"), replace(who, start=who.start - 1)):
        (run.path / "exit.json").unlink(missing_ok=True)
        (run.path / "started.json").write_text(json.dumps(vars(other)))
        assert status(scripts, "run") == KILLED
    (run.path / "started.json").write_text(json.dumps(vars(who)))
    assert status(scripts, "run") == RUNNING
    bystander.kill()
    bystander.wait()
    assert status(scripts, "run") == KILLED


# -- interrupting ---------------------------------------------------------------------------------

#: Starts children that hide: in another session, in the background, behind a second fork, deaf.
FAMILY = """
echo $$ >> {pids}
setsid bash -c 'echo $$ >> {pids}; trap "" TERM HUP INT; while :; do sleep 1; done' &
bash -c 'echo $$ >> {pids}; exec sleep 600' &
bash -c 'setsid setsid bash -c "echo \\$\\$ >> {pids}; exec sleep 600" & exit' &
{trap}
while :; do sleep 1; done
"""


@pytest.mark.parametrize("trap", ["", "trap '' TERM"])
@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_a_script_ends_with_every_process_that_it_started(
    scripts: Scripts, code: Code, tmp_path: Path, way: str, trap: str
) -> None:
    pids = tmp_path / "pids"
    start(scripts, code(run=FAMILY.format(pids=pids, trap=trap)), "run")
    eventually(lambda: len(alive(pids)) == 4)
    getattr(scripts, way)()
    eventually(lambda: not scripts.running())
    assert alive(pids) == []
    expected = ["STOPPED (return code 137)"]
    if way == "terminate" and not trap:
        expected = ["STOPPED (return code 143)"]
    assert [status(scripts, "run")] == expected


def test_what_asks_to_end_may_clean_up(scripts: Scripts, code: Code, tmp_path: Path) -> None:
    polite = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    start(scripts, code(run=polite), "run")
    eventually(lambda: lines(tmp_path / "out"))
    scripts.terminate()
    eventually(lambda: status(scripts, "run") == "STOPPED (return code 5)")
    assert lines(tmp_path / "out") == ["ready", "bye"]


def test_what_an_ended_script_left_in_the_background_is_not_killed(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    daemon = f"setsid bash -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' & "
    wait = f"until [ -s {tmp_path}/daemon ]; do sleep 0.01; done"
    directory = code(init=daemon + wait, run="sleep 600")
    start(scripts, directory, "init")
    eventually(lambda: status(scripts, "init") == "STOPPED (return code 0)")
    start(scripts, directory, "run")
    scripts.kill()
    (pid,) = alive(tmp_path / "daemon")
    os.kill(pid, signal.SIGKILL)


def test_interrupt_runs_first_and_then_the_others_end(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    directory = code(
        run="sleep 600", notify="sleep 600", interrupt=f"until [ -e {tmp_path}/go ]; do :; done"
    )
    for script in ("run", "notify", "interrupt"):
        start(scripts, directory, script)
    assert [run.script for run in scripts.running()] == ["interrupt", "notify", "run"]
    (tmp_path / "go").touch()
    eventually(lambda: not scripts.running())
    assert scripts.statuses("code-a") == {
        "init": NEVER_STARTED,
        "notify": "STOPPED (return code 143)",
        "run": "STOPPED (return code 143)",
        "interrupt": "STOPPED (return code 0)",
        "cleanup": NEVER_STARTED,
    }


def test_killing_ends_interrupt_too(scripts: Scripts, code: Code, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    family = FAMILY.format(pids=pids, trap="trap '' TERM")
    directory = code(run=family, interrupt=family)
    start(scripts, directory, "run")
    start(scripts, directory, "interrupt")
    eventually(lambda: len(alive(pids)) == 8)
    scripts.kill()
    assert scripts.running() == []
    assert alive(pids) == []
    assert status(scripts, "interrupt") == "STOPPED (return code 137)"


def test_a_runner_that_was_stopped_cannot_save_its_script(
    scripts: Scripts, code: Code, tmp_path: Path
) -> None:
    start(scripts, code(run=f"echo $$ > {tmp_path}/pid; kill -STOP $PPID; sleep 600"), "run")
    eventually(lambda: alive(tmp_path / "pid"))
    (run,) = scripts.running()
    assert run.runner is not None
    runner = psutil.Process(run.runner.pid)
    eventually(lambda: runner.status() == psutil.STATUS_STOPPED)
    scripts.kill(patience=0.3)
    eventually(lambda: status(scripts, "run") == KILLED)
    eventually(lambda: alive(tmp_path / "pid") == [])
