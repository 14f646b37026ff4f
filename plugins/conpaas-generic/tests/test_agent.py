"""The agent of the generic service, which may be killed anywhere and come back."""

from __future__ import annotations

import io
import json
import logging
from collections import UserDict
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from conpaas import files
from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError, BusyError
from conpaas.features.code.packing import packed
from conpaas.rpc import Upload
from conpaas.scripts.runs import Run
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.testing.waiting import eventually
from conpaas_generic import scripts as scripts_module
from conpaas_generic.agent import AgentEntry, GenericAgent
from conpaas_generic.scripts import Scripts

pytestmark = pytest.mark.usefixtures("no_survivors")
MASTER = AgentEntry("10.0.0.1", "master", "node-1")
OTHER = AgentEntry("10.0.0.2", "node", "node-2")
NOTES = 'echo "$(basename $0) $*" >> "$HOME/notes"\n'


class Machine:
    """A machine with an agent that can be killed: what it keeps is a root and a store."""

    def __init__(self, root: Path, entry: AgentEntry = OTHER) -> None:
        self.root = root
        self.entry = entry
        self.store: MutableMapping[str, Any] = UserDict()
        self.agent = self.start()

    def start(self) -> GenericAgent:
        self.agent = GenericAgent(
            AgentPlace(
                node=self.entry.id,
                role=self.entry.role,
                address=self.entry.ip,
                application=1,
                service=1,
                root=self.root,
                supervisor=ProcessSupervisor(self.root / "log"),
                store=self.store,
                log=logging.getLogger("test"),
            )
        )
        return self.agent

    def upload(self, version: str, **scripts: str) -> None:
        code = packed({f"{name}.sh": text for name, text in scripts.items()})
        self.agent.update_code(version, Upload(io.BytesIO(code)), 1 << 20, 100)

    @property
    def notes(self) -> list[str]:
        path = self.root / "root/notes"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def bin(self) -> Path:
        return self.root / "var/cache/cpsagent/bin"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "machine")
    machine.agent.set_agents([MASTER, OTHER], MASTER.ip)
    return machine


def ready(machine: Machine, version: str = "code-a", **scripts: str) -> None:
    """Bring a version to a machine and have its init.sh run."""
    machine.upload(version, **scripts)
    eventually(lambda: machine.agent.initialise(version, 0))


# -- what scripts find ----------------------------------------------------------------------------


def test_scripts_find_who_they_are_and_who_the_others_are(machine: Machine) -> None:
    ready(machine, init='env > "$HOME/env"; cp "$AGENTS_FILE" "$HOME/seen"; pwd')
    environment = dict(
        line.split("=", 1) for line in (machine.root / "root/env").read_text().splitlines()
    )
    assert {name: environment[name] for name in ("MY_IP", "MY_ROLE", "MASTER_IP", "LANG")} == {
        "MY_IP": "10.0.0.2",
        "MY_ROLE": "node",
        "MASTER_IP": "10.0.0.1",
        "LANG": "C.UTF-8",
    }
    assert environment["HOME"] == str(machine.root / "root")
    assert "/usr/bin" in environment["PATH"].split(":")
    assert json.loads((machine.root / "root/seen").read_text()) == [
        {"ip": "10.0.0.1", "role": "master", "id": "node-1"},
        {"ip": "10.0.0.2", "role": "node", "id": "node-2"},
    ]
    assert (machine.root / "root/agent.out").read_text() == f"{machine.bin}\n"


def test_the_output_of_the_scripts_is_among_the_logs(machine: Machine) -> None:
    ready(machine, init="echo out; echo err >&2")
    assert machine.agent.get_log("agent.out") == "out\n"
    assert machine.agent.get_log("agent.err") == "err\n"


# -- init.sh --------------------------------------------------------------------------------------


class Crash(BaseException):
    """The agent's process dies here."""


def _before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    def die(*values: Any, **named: Any) -> Any:
        raise Crash

    monkeypatch.setattr(owner, name, die)


def _after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def do_and_die(*values: Any, **named: Any) -> Any:
        real(*values, **named)
        raise Crash

    monkeypatch.setattr(owner, name, do_and_die)


@pytest.mark.parametrize("when", [_before, _after])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (files, "link"),
        (UserDict, "__setitem__"),
        (Run, "create"),
        (Scripts, "_make_latest"),
        (scripts_module, "launch"),
        (GenericAgent, "_start"),
    ],
)
def test_init_runs_exactly_once_wherever_the_agent_is_killed(
    tmp_path: Path,
    owner: Any,
    name: str,
    when: Callable[[pytest.MonkeyPatch, Any, str], None],
) -> None:
    machine = Machine(tmp_path / "machine")
    machine.agent.set_agents([MASTER, OTHER], MASTER.ip)
    machine.upload("code-a", init=NOTES)
    with pytest.MonkeyPatch.context() as monkeypatch:
        when(monkeypatch, owner, name)
        if name == "launch":
            machine.agent.scripts._launch = scripts_module.launch
        with pytest.raises(Crash):
            machine.agent.initialise("code-a", 0)
    machine.start()
    eventually(lambda: machine.agent.initialise("code-a", 0))
    machine.start()
    assert machine.agent.initialise("code-a", 0)
    assert machine.notes == ["init.sh "]


def test_init_is_waited_for_by_an_agent_that_came_back(machine: Machine, tmp_path: Path) -> None:
    machine.upload("code-a", init=f"{NOTES}until [ -e {tmp_path}/go ]; do sleep 0.01; done")
    assert not machine.agent.initialise("code-a", 0)
    for _ in range(3):
        assert not machine.start().initialise("code-a", 0)
    (tmp_path / "go").touch()
    eventually(lambda: machine.agent.initialise("code-a", 0))
    assert machine.notes == ["init.sh "]


def test_init_is_not_run_again_when_its_version_comes_back(machine: Machine) -> None:
    for version in ("code-a", "code-b"):
        ready(machine, version, init=f"{NOTES}echo {version}")
    for attempt, version in enumerate(("code-a", "code-b", "code-a"), 1):
        assert machine.agent.initialise(version, attempt)
    assert machine.notes == ["init.sh ", "init.sh "]
    assert machine.agent.get_log("agent.out") == "code-a\ncode-b\n"


def test_an_init_that_fails_is_told_and_tried_again_in_a_later_attempt_only(
    machine: Machine, tmp_path: Path
) -> None:
    init = f"{NOTES}echo no network >&2; [ -e {tmp_path}/network ] || exit 4"
    machine.upload("code-a", init=init)
    assert not machine.agent.initialise("code-a", 0)
    eventually(lambda: not machine.agent.is_running())
    for _ in range(2):
        with pytest.raises(AgentError, match=r"return code 4; the end of agent\.err:\nno network"):
            machine.start().initialise("code-a", 0)
    assert len(machine.notes) == 1
    assert machine.agent.get_script_status().init == "STOPPED (return code 4)"
    (tmp_path / "network").touch()
    eventually(lambda: machine.agent.initialise("code-a", 1))
    assert machine.agent.initialise("code-a", 2)
    assert len(machine.notes) == 2


def test_a_version_without_init_is_ready_at_once(machine: Machine) -> None:
    machine.upload("code-a", run="true")
    assert machine.agent.initialise("code-a", 0)
    assert machine.agent.get_script_status().init == "NEVER STARTED"


def test_no_script_comes_before_init(machine: Machine) -> None:
    machine.upload("code-a", init="exit 1", run=NOTES, notify=NOTES, interrupt=NOTES)
    with pytest.raises(AgentError, match="not on this node"):
        machine.agent.start_script("run", "code-b", "01", [])
    with pytest.raises(AgentError, match=r"init\.sh of code-a has not succeeded"):
        machine.agent.start_script("run", "code-a", "01", [])
    assert not machine.agent.start_script("interrupt", "code-a", "02", [])
    with pytest.raises(AgentError, match=r"init\.sh of code-a has not succeeded"):
        machine.agent.notify()
    machine.agent.initialise("code-a", 0)
    eventually(lambda: not machine.agent.is_running())
    with pytest.raises(AgentError, match=r"init\.sh of code-a has not succeeded"):
        machine.agent.start_script("run", "code-a", "03", [])
    assert machine.notes == []


def test_the_version_does_not_change_under_a_script_that_runs(machine: Machine) -> None:
    ready(machine, run="sleep 600")
    machine.upload("code-b", init=NOTES)
    machine.agent.start_script("run", "code-a", "01", [])
    with pytest.raises(BusyError, match=r"run\.sh is still running"):
        machine.agent.initialise("code-b", 0)
    assert machine.bin.readlink() == Path("code/code-a")
    machine.agent.kill_scripts()
    eventually(lambda: machine.agent.initialise("code-b", 0))
    assert machine.bin.readlink() == Path("code/code-b")
    assert machine.agent.get_script_status().run == "NEVER STARTED"


# -- notify.sh ------------------------------------------------------------------------------------


def test_notify_runs_once_for_each_change_and_not_on_who_is_new(machine: Machine) -> None:
    ready(machine, notify=NOTES)
    assert machine.agent.notify()
    assert machine.notes == []
    for change, agents in enumerate(([MASTER], [MASTER, OTHER], [OTHER, MASTER]), 1):
        machine.agent.set_agents(agents, MASTER.ip)
        for _ in range(3):
            assert machine.start().notify()
        eventually(lambda: not machine.agent.is_running())
        # The third is another order, not another list.
        assert len(machine.notes) == min(change, 2)


@pytest.mark.parametrize("when", [_before, _after])
@pytest.mark.parametrize(
    ("owner", "name"), [(UserDict, "__setitem__"), (Run, "create"), (GenericAgent, "_start")]
)
def test_notify_runs_exactly_once_wherever_the_agent_is_killed(
    machine: Machine,
    owner: Any,
    name: str,
    when: Callable[[pytest.MonkeyPatch, Any, str], None],
) -> None:
    ready(machine, notify=NOTES)
    machine.agent.set_agents([OTHER], "")
    with pytest.MonkeyPatch.context() as monkeypatch:
        when(monkeypatch, owner, name)
        with pytest.raises(Crash):
            machine.agent.notify()
    assert machine.start().notify()
    eventually(lambda: not machine.agent.is_running())
    assert machine.notes == ["notify.sh "]


def test_notify_waits_for_the_one_of_an_earlier_change(machine: Machine, tmp_path: Path) -> None:
    ready(machine, notify=f"{NOTES}until [ -e {tmp_path}/go ]; do sleep 0.01; done")
    machine.agent.set_agents([OTHER], "")
    assert machine.agent.notify()
    machine.agent.set_agents([OTHER, MASTER], MASTER.ip)
    assert not machine.agent.notify()
    (tmp_path / "go").touch()
    eventually(machine.agent.notify)
    eventually(lambda: not machine.agent.is_running())
    assert machine.notes == ["notify.sh ", "notify.sh "]


# -- the others -----------------------------------------------------------------------------------


def test_run_and_cleanup_start_only_when_nothing_runs(machine: Machine) -> None:
    ready(machine, run="sleep 600", cleanup=NOTES)
    assert machine.agent.start_script("run", "code-a", "01", [])
    for script in ("run", "cleanup"):
        with pytest.raises(BusyError, match=r"run\.sh is still running"):
            machine.agent.start_script(script, "code-a", "02", [])  # type: ignore[arg-type]
    machine.agent.kill_scripts()
    assert machine.agent.start_script("cleanup", "code-a", "03", ["a b", "$(id)"])
    eventually(lambda: machine.notes == ["cleanup.sh a b $(id)"])


def test_interrupt_without_a_script_terminates_what_runs(machine: Machine) -> None:
    ready(machine, run="sleep 600")
    machine.agent.start_script("run", "code-a", "01", [])
    assert not machine.agent.start_script("interrupt", "code-a", "02", [])
    eventually(lambda: machine.agent.get_script_status().run == "STOPPED (return code 143)")


def test_a_stuck_init_can_be_interrupted(machine: Machine) -> None:
    machine.upload("code-a", init="sleep 600", interrupt=NOTES)
    assert not machine.agent.initialise("code-a", 0)
    assert machine.agent.start_script("interrupt", "code-a", "01", [])
    eventually(lambda: not machine.agent.is_running())
    with pytest.raises(AgentError, match=r"init\.sh of code-a ended with return code 143"):
        machine.agent.initialise("code-a", 0)
    assert machine.notes == ["interrupt.sh "]
