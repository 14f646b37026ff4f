"""The generic service as its users see it: through director, manager and agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conpaas.certificates import Role
from conpaas.errors import AgentError, ConPaaSError, InvalidError, WrongStateError
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas.testing.waiting import eventually
from conpaas_generic.testing import Generic

NOTES = 'echo "$(basename $0) $*" >> "$HOME/notes"\n'
NOTE_ALL = dict.fromkeys(("init", "notify", "run", "interrupt", "cleanup"), NOTES)


@pytest.fixture
def generic(cluster: Cluster) -> Iterator[Generic]:
    service = Generic(cluster)
    yield service
    for agent in service.agents:
        agent.scripts.kill()


# -- nodes ----------------------------------------------------------------------------------------


def test_it_starts_with_a_master_and_grows_by_nodes(generic: Generic) -> None:
    generic.cluster.run(generic.user.start())
    generic.add(2)
    assert [node.role for node in generic.user.list_nodes()] == ["master", "node", "node"]
    generic.remove(2)
    assert [node.role for node in generic.user.list_nodes()] == ["master"]


def test_the_master_cannot_be_removed_nor_another_added(generic: Generic) -> None:
    generic.start()
    for counts in ({"master": 1}, {"count": 1}, {"node": 1}, {}):
        with pytest.raises(InvalidError, match=r"^Cannot remove the master node\.$"):
            generic.user.remove_nodes(nodes=counts)
    with pytest.raises(InvalidError, match="master"):
        generic.user.add_nodes(nodes={"master": 1})
    assert generic.state is State.RUNNING


def test_every_node_knows_all_others(generic: Generic) -> None:
    generic.start()
    for change in (lambda: generic.add(3), lambda: generic.remove(1)):
        change()
        nodes = generic.user.list_nodes()
        for agent in generic.agents:
            told = json.loads((agent.root / "var/cache/cpsagent/agents.json").read_text())
            assert told == [{"ip": n.ip, "role": n.role, "id": n.agent_id} for n in nodes]


# -- init.sh and notify.sh ------------------------------------------------------------------------


def test_init_runs_on_who_is_new_and_notify_on_the_others_once_for_each_change(
    generic: Generic,
) -> None:
    generic.start(**NOTE_ALL)
    assert generic.notes() == [["init.sh "]]
    generic.add(2)
    eventually(lambda: generic.notes() == [["init.sh ", "notify.sh "], ["init.sh "], ["init.sh "]])
    generic.add(1)
    generic.remove(2)
    notified = ["notify.sh "]
    eventually(
        lambda: generic.notes() == [["init.sh ", *notified * 3], ["init.sh ", *notified * 2]]
    )


def test_notify_finds_the_new_list_on_every_node(generic: Generic) -> None:
    generic.start(notify="grep -o '\"id\"' $AGENTS_FILE | wc -l")
    sizes = []
    for change in (lambda: generic.add(2), lambda: generic.remove(1)):
        change()
        eventually(generic.quiet)
        sizes.append([agent.get_log("agent.out") for agent in generic.agents])
    assert sizes == [["3\n", "", ""], ["3\n2\n", "2\n"]]


def test_init_runs_once_for_each_version_and_node_however_often_it_is_enabled(
    generic: Generic,
) -> None:
    generic.start(**NOTE_ALL)
    first, second = generic.active, generic.upload(**NOTE_ALL)
    for version in (first, second, second, first, second):
        generic.enable(version)
        assert generic.active == version
    assert generic.notes() == [["init.sh ", "init.sh "]]


def test_a_failing_init_keeps_the_old_version_and_says_why(generic: Generic) -> None:
    generic.start(**NOTE_ALL)
    generic.add(1)
    eventually(generic.quiet)
    old = generic.active
    bad = generic.upload(init="echo what a pity >&2; [ $MY_ROLE = node ] && exit 9; true")
    with pytest.raises(AgentError) as failure:
        generic.enable(bad)
    assert "node-3" in str(failure.value)
    assert "node-2" not in str(failure.value)
    assert "return code 9; the end of agent.err:\nwhat a pity" in str(failure.value)
    assert (generic.state, generic.active) == (State.RUNNING, old)
    for agent in generic.agents:
        assert (agent.root / "var/cache/cpsagent/bin").resolve().name == old
        assert agent.list_code() == [old]
    generic.user.run()
    eventually(lambda: generic.statuses("run") == ["STOPPED (return code 0)"] * 2)
    assert all(notes.count("init.sh ") == 1 for notes in generic.notes())


def test_enabling_again_tries_a_failed_init_again(generic: Generic, tmp_path: Path) -> None:
    generic.start()
    version = generic.upload(init=f"{NOTES}[ -e {tmp_path}/network ]")
    for _ in range(2):
        with pytest.raises(AgentError, match="return code 1"):
            generic.enable(version)
    (tmp_path / "network").touch()
    generic.enable(version)
    generic.enable(version)
    assert generic.notes() == [["init.sh "] * 3]


def test_a_node_whose_init_fails_is_given_back_and_the_service_runs_on(
    generic: Generic, tmp_path: Path
) -> None:
    generic.start(init=f"{NOTES}[ $MY_ROLE = master -o -e {tmp_path}/network ]", notify=NOTES)
    with pytest.raises(AgentError, match=r"node-3 .*return code 1"):
        generic.add(1)
    assert generic.state is State.RUNNING
    assert [node.agent_id for node in generic.user.list_nodes()] == ["node-2"]
    assert len(generic.cluster.provider.machines) == 2
    (tmp_path / "network").touch()
    generic.add(1)
    assert [node.agent_id for node in generic.user.list_nodes()] == ["node-2", "node-4"]


def test_a_lost_master_is_replaced_by_repair(generic: Generic) -> None:
    generic.start(init="true")
    generic.add(1)
    (master,) = [node for node in generic.user.list_nodes() if node.role == "master"]
    machine = generic.cluster.machine(int(master.agent_id.removeprefix("node-")))
    generic.cluster.cut(machine)
    generic.cluster.look()
    assert [(n.role, n.state) for n in generic.user.list_nodes()] == [
        ("master", "lost"),
        ("node", "ready"),
    ]
    generic.cluster.run(generic.user.repair())
    assert sorted((n.role, n.state) for n in generic.user.list_nodes()) == [
        ("master", "ready"),
        ("node", "ready"),
    ]


def test_a_service_whose_init_fails_at_the_start_is_mended_by_other_code(
    generic: Generic,
) -> None:
    with pytest.raises(AgentError, match="return code 1"):
        generic.start(init="exit 1")
    assert generic.state is State.ERROR
    good = generic.upload(**NOTE_ALL)
    generic.enable(good)
    assert (generic.state, generic.notes()) == (State.ERROR, [[]])
    generic.cluster.run(generic.user.repair())
    assert (generic.state, generic.notes()) == (State.RUNNING, [["init.sh "]])


def test_code_enabled_while_stopped_is_taken_at_the_next_start(generic: Generic) -> None:
    generic.start(init="echo one")
    generic.cluster.run(generic.user.stop())
    version = generic.upload(init="echo two")
    generic.enable(version)
    assert generic.state is State.STOPPED
    generic.cluster.run(generic.user.start())
    assert [agent.get_log("agent.out") for agent in generic.agents] == ["two\n"]


# -- run, interrupt, cleanup ----------------------------------------------------------------------


def test_run_passes_its_parameters_to_all_agents(generic: Generic) -> None:
    generic.start(run='printf "<%s>" "$#" "$@"')
    generic.add(1)
    generic.user.run(parameters="a  \"b c\" '$HOME' $(id) * ;")
    eventually(lambda: generic.statuses("run") == ["STOPPED (return code 0)"] * 2)
    expected = "<6><a><b c><$HOME><$(id)><*><;>"
    assert [agent.get_log("agent.out") for agent in generic.agents] == [expected] * 2


def test_parameters_that_cannot_be_split_are_refused(generic: Generic) -> None:
    generic.start()
    for parameters in ('"open', "zero \0 byte", "x" * 30_001, "back\\"):
        with pytest.raises(InvalidError, match="parameters"):
            generic.user.run(parameters=parameters)
    assert generic.statuses("run") == ["NEVER STARTED"]


def test_while_a_script_runs_on_one_agent_others_are_refused_on_all(generic: Generic) -> None:
    generic.start(run="[ $MY_ROLE = node ] || sleep 600", cleanup=NOTES)
    generic.add(1)
    other = generic.upload()
    with pytest.raises(WrongStateError, match=r"^No scripts are currently running inside agents"):
        generic.user.interrupt()
    generic.user.run()
    eventually(lambda: generic.statuses("run") == ["RUNNING", "STOPPED (return code 0)"])
    for refused in (
        generic.user.run,
        generic.user.cleanup,
        lambda: generic.user.enable_code(code_version=other),
    ):
        with pytest.raises(WrongStateError, match="Scripts are still running inside at least"):
            refused()
    assert generic.state is State.RUNNING
    generic.user.interrupt()
    eventually(lambda: generic.statuses("run")[0] == "STOPPED (return code 143)")
    generic.user.cleanup()
    eventually(lambda: generic.notes() == [["cleanup.sh "], ["cleanup.sh "]])
    eventually(generic.quiet)
    generic.enable(other)


def test_the_first_interrupt_asks_and_the_second_kills(generic: Generic) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    generic.start(run=stubborn, interrupt=f"{NOTES}{stubborn}")
    generic.add(1)
    generic.user.run()
    generic.user.interrupt(parameters="softly please")
    eventually(lambda: generic.notes() == [["interrupt.sh softly please"]] * 2)
    assert generic.statuses("run") == generic.statuses("interrupt") == ["RUNNING"] * 2
    generic.user.interrupt()
    assert generic.statuses("run") == ["STOPPED (return code 137)"] * 2
    assert generic.statuses("interrupt") == ["STOPPED (return code 137)"] * 2
    assert generic.notes() == [["interrupt.sh softly please"]] * 2


def test_a_start_that_hangs_in_init_can_be_interrupted(generic: Generic) -> None:
    generic.enable(generic.upload(init="sleep 600"))
    job = generic.user.start()
    eventually(lambda: generic.agents and generic.agents[0].is_running())
    generic.user.interrupt()
    with pytest.raises(AgentError, match="return code 143"):
        generic.cluster.run(job)


def test_the_output_of_the_scripts_is_among_the_logs(generic: Generic) -> None:
    generic.start(run="echo out; echo err >&2")
    generic.user.run()
    eventually(lambda: generic.statuses("run") == ["STOPPED (return code 0)"])
    (row,) = generic.user.get_script_status()
    for name in ("out", "err"):
        log = generic.user.get_agent_log(agent_id=row.agent_id, filename=f"agent.{name}")
        assert log == f"{name}\n"
    names = [log.filename for log in generic.user.list_agent_logs(agent_id=row.agent_id)]
    assert names == ["agent.log", "agent.out", "agent.err"]


# -- being rough ----------------------------------------------------------------------------------


def waits(go: Path) -> str:
    return f"{NOTES}until [ -e {go} ]; do sleep 0.01; done"


def slowly_enabled(generic: Generic, go: Path) -> str:
    """Begin to enable a version on two nodes, whose init.sh waits for ``go``."""
    generic.start(notify=NOTES)
    generic.add(1)
    eventually(generic.quiet)
    version = generic.upload(init=waits(go))
    generic.user.enable_code(code_version=version)
    eventually(lambda: all(agent.is_running() == ["init"] for agent in generic.agents))
    return version


def restart(generic: Generic, role: Role) -> None:
    for machine in list(generic.cluster.machines.values()):
        if machine.role is role:
            generic.cluster.restart(machine)


@pytest.mark.parametrize("role", [Role.AGENT, Role.MANAGER])
def test_killing_agents_or_manager_during_init_changes_nothing(
    generic: Generic, tmp_path: Path, role: Role
) -> None:
    version = slowly_enabled(generic, tmp_path / "go")
    restart(generic, role)
    assert [agent.is_running() for agent in generic.agents] == [["init"]] * 2
    (tmp_path / "go").touch()
    eventually(lambda: generic.state is State.RUNNING)
    assert generic.active == version
    assert [notes.count("init.sh ") for notes in generic.notes()] == [1, 1]


def test_scripts_go_on_while_their_agent_is_killed(generic: Generic, tmp_path: Path) -> None:
    generic.start(run=f"{waits(tmp_path / 'go')}; exit 3")
    generic.user.run()
    restart(generic, Role.AGENT)
    assert generic.statuses("run") == ["RUNNING"]
    (tmp_path / "go").touch()
    eventually(lambda: generic.statuses("run") == ["STOPPED (return code 3)"])


def test_a_node_that_does_not_answer_is_not_left_out_of_the_statuses(generic: Generic) -> None:
    generic.start()
    generic.add(1)
    machine = generic.cluster.machine(
        generic.cluster.manager(generic.aid).book.nodes(1)[1].machine
    )
    generic.cluster.cut(machine)
    assert generic.statuses("run") == ["NEVER STARTED", "N/A"]
    with pytest.raises(ConPaaSError, match="node-3"):
        generic.user.run()
    generic.cluster.cut(machine, silent=False)


def test_a_lost_node_is_replaced_and_the_others_are_notified_once(generic: Generic) -> None:
    generic.start(**NOTE_ALL)
    generic.add(2)
    eventually(generic.quiet)
    manager = generic.cluster.manager(generic.aid)
    lost = manager.book.nodes(1)[1]
    generic.cluster.cut(generic.cluster.machine(lost.machine))
    watch = next(m.watch for m in generic.cluster.machines.values() if m.manager is manager)
    assert watch is not None
    watch.round()
    eventually(lambda: lost.id not in [n.agent_id for n in generic.user.list_nodes()])
    eventually(lambda: generic.state is State.RUNNING)
    eventually(generic.quiet)
    assert generic.notes() == [
        ["init.sh ", "notify.sh ", "notify.sh "],
        ["init.sh ", "notify.sh "],
        ["init.sh "],
    ]


# -- volumes --------------------------------------------------------------------------------------


def test_volumes_are_not_touched_while_scripts_run_on_their_node(generic: Generic) -> None:
    generic.start(run='while [ ! -e "$HOME/go" ]; do sleep 0.05; done')
    (node,) = generic.user.list_nodes()
    home = generic.cluster.agents(generic.aid, 1)[0].agent.root / "root"
    create = {"vol_name": "data", "vol_size": 8, "agent_id": node.agent_id}
    generic.user.run()
    with pytest.raises(WrongStateError, match="Scripts are still running"):
        generic.user.create_volume(**create)
    (home / "go").touch()
    eventually(lambda: "RUNNING" not in generic.user.get_script_status()[0].run)
    generic.cluster.run(generic.user.create_volume(**create))
    (home / "go").unlink()
    generic.user.run()
    for ask in (generic.user.detach_volume, generic.user.delete_volume):
        with pytest.raises(WrongStateError, match="Scripts are still running"):
            ask(vol_name="data")
    (home / "go").touch()
    eventually(lambda: "RUNNING" not in generic.user.get_script_status()[0].run)
    generic.cluster.run(generic.user.delete_volume(vol_name="data"))
    assert generic.user.list_volumes() == []


def test_init_finds_the_volumes_of_its_node_at_a_start(generic: Generic) -> None:
    generic.start(init='cat "${HOME%/root}/media/data/file" >> "$HOME/found" || true')
    (node,) = generic.user.list_nodes()
    generic.cluster.run(
        generic.user.create_volume(vol_name="data", vol_size=8, agent_id=node.agent_id)
    )
    agent: Any = generic.cluster.agents(generic.aid, 1)[0].agent
    (agent.volume_path("data") / "file").write_text("precious")
    generic.cluster.run(generic.user.stop())
    generic.cluster.run(generic.user.start())
    agent = generic.cluster.agents(generic.aid, 1)[0].agent
    assert (agent.root / "root/found").read_text() == "precious"
