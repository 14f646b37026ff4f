"""Whatever dies comes back by itself with true state, jobs end, and nothing leaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coming_back import answers, greets, ids, nodes, settle
from e2e import CommandLine, Nutshell, application, kill, wait_for

from conpaas.features.code.packing import packed

#: One moment of each kind is enough for every day: in core's tests all die at every write.
LONG = pytest.mark.long


@pytest.fixture(scope="module")
def hello(cps: CommandLine, running: int) -> int:
    """A running helloworld service, which tests leave running with a node or more: its number."""
    sid = int(cps.rows(f"cps-service add helloworld {running}")["sid"])
    cps.ok(f"cps-service start {running} {sid}")
    return sid


def victims(nutshell: Nutshell, aid: int, sid: int) -> dict[str, Callable[[], None]]:
    (node, *_) = nodes(nutshell.cps, aid, sid)
    agent, manager = nutshell.machine(aid, node["agent_id"]), nutshell.machine(aid)
    # Found before the job begins: looking takes longer than some of its steps.
    pids = {
        "agent": nutshell.server(agent).pid,
        "manager": nutshell.server(manager).pid,
        "web": nutshell.process("director"),
        "worker": nutshell.process("worker"),
    }
    return {name: lambda pid=pid: kill(pid) for name, pid in pids.items()}


@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("manager", 0.9),
        ("worker", 0.4),
        *(
            pytest.param(*each, marks=LONG)
            for each in (
                *(("manager", 0.4), ("worker", 0.9), ("agent", 0.4), ("agent", 0.9)),
                *(("web", 0.4), ("web", 0.9)),
            )
        ),
    ],
)
def test_a_server_killed_while_nodes_are_added_comes_back_and_the_job_ends(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, victim: str, moment: float
) -> None:
    before = ids(cps, running, hello)
    strike = victims(nutshell, running, hello)[victim]

    adding = cps.begin(f"cps-service add_nodes {running} {hello} --count 1")
    time.sleep(moment)
    strike()
    _, err = adding.communicate(timeout=90)

    assert adding.returncode in (0, 1), err
    assert "Traceback" not in err
    now = settle(cps, running, hello)
    if now == "ERROR":
        cps.ok(f"cps-service repair {running} {hello}")
    after = ids(cps, running, hello)
    assert before < after if adding.returncode == 0 else err.startswith("[") or "ERROR" in err
    assert len(after - before) <= 1
    assert settle(cps, running, hello) == "RUNNING"
    assert greets(cps, running, hello) == after
    nutshell.no_leaks()


@pytest.mark.parametrize("victim", ["manager", pytest.param("worker", marks=LONG)])
def test_a_server_killed_while_a_node_is_removed_comes_back_and_the_job_ends(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, victim: str
) -> None:
    if len(ids(cps, running, hello)) == 1:
        cps.ok(f"cps-service add_nodes {running} {hello} --count 1")
    before = ids(cps, running, hello)
    strike = victims(nutshell, running, hello)[victim]

    removing = cps.begin(f"cps-service remove_nodes {running} {hello} --count 1")
    time.sleep(0.4)
    strike()
    _, err = removing.communicate(timeout=90)

    assert settle(cps, running, hello) == "RUNNING", err
    assert greets(cps, running, hello) == ids(cps, running, hello) <= before
    nutshell.no_leaks()


def test_a_worker_killed_while_an_application_starts_is_followed_by_another(
    nutshell: Nutshell, cps: CommandLine
) -> None:
    aid = cps.rows('cps-application create "Started twice"')["aid"]
    starting = cps.begin(f"cps-application start {aid}")
    wait_for("its machine", lambda: any(f"-a{aid}-" in name for name in nutshell.machines()))
    kill(nutshell.process("worker"))
    _, err = starting.communicate(timeout=90)
    assert starting.returncode == 0, err
    assert len(cps.rows(f"cps-machine list -a {aid}")) == 1
    nutshell.no_leaks()
    cps.ok(f"cps-application delete {aid}")


def test_a_node_whose_machine_is_gone_is_noticed_and_replaced(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int
) -> None:
    *kept, lost = nodes(cps, running, hello)
    assert kept
    nutshell.cloud.destroy_machine(nutshell.machine(running, lost["agent_id"]).id)

    def replaced() -> bool:
        there = nodes(cps, running, hello)
        fresh = [node for node in there if node not in kept and node != lost]
        return there == [*kept, *fresh] and [node["state"] for node in fresh] == ["ready"]

    wait_for("another node in its place", replaced, 60)
    assert settle(cps, running, hello) == "RUNNING"
    assert greets(cps, running, hello) == ids(cps, running, hello)
    log = cps.ok(f"cps-service get_log {running} {hello}")
    assert f"node {lost['agent_id']} ({lost['ip']}) is lost" in log
    nutshell.no_leaks()


@pytest.fixture(scope="module")
def generic(cps: CommandLine, running: int, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A generic service with two nodes whose run.sh counts for ever: its number."""
    scripts = {
        "run.sh": "#!/bin/sh\necho run $$\nwhile sleep 0.1; do date +%s >> /tmp/beats; done\n"
    }
    archive = tmp_path_factory.mktemp("code") / "counter.tar"
    archive.write_bytes(packed(scripts, mode=0o755))
    sid = int(cps.rows(f"cps-service add generic {running}")["sid"])
    version = cps.rows(f"cps-generic upload_code {running} {sid} {archive}")["codeVersionId"]
    cps.ok(f"cps-generic enable_code {running} {sid} {version}")
    cps.ok(f"cps-generic start {running} {sid}")
    cps.ok(f"cps-generic add_nodes {running} {sid} --count 1")
    return sid


@pytest.fixture
def counter(cps: CommandLine, running: int, generic: int) -> Iterator[int]:
    """That service, counting."""
    cps.ok(f"cps-generic run {running} {generic}")
    yield generic
    cps(f"cps-generic interrupt {running} {generic}")
    wait_for("the end of run.sh", lambda: "RUNNING" not in runs(cps, running, generic))


def runs(cps: CommandLine, aid: int, sid: int) -> list[str]:
    return [row["run"] for row in cps.rows(f"cps-generic get_script_status {aid} {sid}")]


def test_a_script_outlives_its_agent(
    nutshell: Nutshell, cps: CommandLine, running: int, counter: int
) -> None:
    (agent, _) = (node["agent_id"] for node in nodes(cps, running, counter))
    machine = nutshell.machine(running, agent)
    beats = nutshell.root(machine) / "tmp/beats"
    wait_for("the script's first beat", beats.exists)
    nutshell.kill_server(machine)

    killed = beats.stat().st_size
    wait_for("a beat while the agent is away", lambda: beats.stat().st_size > killed)
    wait_for("its agent", lambda: runs(cps, running, counter) == ["RUNNING", "RUNNING"])
    log = cps.ok(f"cps-generic get_agent_log {running} {counter} {agent} -f agent.out")
    assert log.count("run ") == 1


@pytest.mark.long
def test_a_node_that_is_not_replaced_is_told_as_lost_and_booted_again(
    nutshell: Nutshell, cps: CommandLine, running: int, counter: int
) -> None:
    (_, agent) = (node["agent_id"] for node in nodes(cps, running, counter))
    nutshell.cloud.stop_machine(nutshell.machine(running, agent).id, grace=0)

    wait_for(
        "N/A for what cannot be asked", lambda: runs(cps, running, counter)[1:] != ["RUNNING"]
    )
    wait_for("the machine running again", lambda: _is_up(nutshell, running, agent), 60)
    # What ran there died with its machine; the other one goes on.
    wait_for("its agent", lambda: len(runs(cps, running, counter)) == 2, 60)
    wait_for("its word", lambda: runs(cps, running, counter)[1] not in ("RUNNING", "N/A"), 60)
    assert runs(cps, running, counter)[0] == "RUNNING"
    nutshell.no_leaks()


def _is_up(nutshell: Nutshell, aid: int, agent: str) -> bool:
    return nutshell.machine(aid, agent).state == "running"


def test_a_manager_whose_machine_is_gone_is_replaced_and_takes_over(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, counter: int
) -> None:
    codes = cps.rows(f"cps-generic list_codes {running} {counter}")
    greeting, counting = ids(cps, running, hello), nodes(cps, running, counter)
    before = nutshell.machine(running)
    nutshell.cloud.destroy_machine(before.id)

    def another() -> bool:
        rows = [row for row in cps.rows(f"cps-machine list -a {running}") if row["sid"] == 0]
        return bool(rows) and rows[0]["name"] != before.name and rows[0]["state"] == "running"

    wait_for("another manager", another, 60)
    wait_for("its answer", lambda: answers(cps, f"cps-service list_nodes {running} {hello}"))
    assert cps.rows(f"cps-generic list_codes {running} {counter}") == codes
    assert nodes(cps, running, counter) == counting
    assert greets(cps, running, hello) == greeting
    assert runs(cps, running, counter) == ["RUNNING", "RUNNING"]
    archive = cps.ok(
        f"cps-generic download_code {running} {counter} -v {codes[0]['codeVersionId']} -o -"
    )
    assert "run.sh" in archive
    cps.ok(f"cps-service add_nodes {running} {hello} --count 1")
    nutshell.no_leaks()


def test_a_director_killed_as_a_whole_goes_on_where_it_was(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int
) -> None:
    before = ids(cps, running, hello)
    cps.ok(f"cps-service add_nodes {running} {hello} --count 1 --no-wait")
    for process in nutshell.processes():
        kill(process.pid)
    wait_for("silence", lambda: not nutshell.processes())
    cps.refused("cps-application list", "does not answer")

    nutshell.ok("start")
    assert settle(cps, running, hello) == "RUNNING"
    after = greets(cps, running, hello)
    assert len(after - before) == 1 and before < after
    nutshell.no_leaks()


# -- clouds that fail ---------------------------------------------------------------------------


EMPTY = ("empty", "there is no image 'conpaas-missing'")
DYING = ("dying", "the disk is broken")


@pytest.mark.parametrize(("cloud", "words"), [pytest.param(*EMPTY, marks=LONG), DYING])
def test_when_a_cloud_fails_the_job_tells_its_words_and_the_nodes_go_on(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, cloud: str, words: str
) -> None:
    before = ids(cps, running, hello)
    cps.refused(f"cps-service add_nodes {running} {hello} --count 2 --cloud {cloud}", words)
    assert settle(cps, running, hello) == "RUNNING"
    assert words in cps.ok(f"cps-service get_history {running} {hello}")
    assert greets(cps, running, hello) == before
    nutshell.no_leaks()


@pytest.mark.parametrize(("cloud", "words"), [EMPTY, pytest.param(*DYING, marks=LONG)])
def test_a_service_that_cannot_start_can_be_repaired(
    nutshell: Nutshell, cps: CommandLine, running: int, cloud: str, words: str
) -> None:
    sid = cps.rows(f"cps-service add helloworld {running}")["sid"]
    cps.refused(f"cps-service start {running} {sid} --cloud {cloud}", words)
    assert settle(cps, running, sid) == "ERROR"
    nutshell.no_leaks()
    cps.refused(f"cps-service add_nodes {running} {sid}", "is ERROR")
    cps.ok(f"cps-service repair {running} {sid}")
    assert len(greets(cps, running, sid)) == 1
    cps.ok(f"cps-service remove {running} {sid}")


@pytest.mark.long
def test_an_application_that_cannot_start_can_be_stopped_and_started(
    nutshell: Nutshell, cps: CommandLine
) -> None:
    aid = cps.rows('cps-application create "Nowhere"')["aid"]
    cps.refused(f"cps-application start {aid} --cloud empty", "there is no image")
    assert cps.rows(f"cps-application get_info {aid}")["status"] == "ERROR"
    nutshell.no_leaks()
    cps.ok(f"cps-application stop {aid}")
    cps.refused(f"cps-application start {aid} --cloud nowhere", "there is no cloud 'nowhere'")
    assert cps.rows(f"cps-application get_info {aid}")["status"] == "STOPPED"
    cps.ok(f"cps-application start {aid} --cloud local")
    cps.ok(f"cps-application delete {aid}")


# -- several at once, and from every state ------------------------------------------------------


def test_of_two_who_add_nodes_at_once_one_is_told_busy(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int
) -> None:
    before = ids(cps, running, hello)
    line = f"cps-service add_nodes {running} {hello} --count 1"
    both = [cps.begin(line) for _ in range(2)]
    ended = sorted((p.communicate(timeout=60)[1], p.returncode) for p in both)
    assert sorted(code for _, code in ended) == [0, 1], ended
    (refused,) = (err for err, code in ended if code)
    assert "add_nodes (job" in refused and "still at work" in refused
    assert len(greets(cps, running, hello) - before) == 1
    assert settle(cps, running, hello) == "RUNNING"


def test_an_application_that_is_starting_can_be_stopped(
    nutshell: Nutshell, cps: CommandLine
) -> None:
    aid = cps.rows('cps-application create "Hesitating"')["aid"]
    cps.ok(f"cps-application start {aid} --no-wait")
    cps.ok(f"cps-application stop {aid}")
    assert cps.rows(f"cps-application get_info {aid}")["status"] == "STOPPED"
    assert cps.rows(f"cps-machine list -a {aid}") == []
    nutshell.no_leaks()
    cps.ok(f"cps-application delete {aid}")


def _init(cps: CommandLine, service: str) -> None:
    pass


def _starting(cps: CommandLine, service: str) -> None:
    cps.ok(f"cps-service start {service} --no-wait")


def _running(cps: CommandLine, service: str) -> None:
    cps.ok(f"cps-service start {service}")


def _adapting(cps: CommandLine, service: str) -> None:
    cps.ok(f"cps-service start {service}")
    cps.ok(f"cps-service add_nodes {service} --count 1 --no-wait")


def _stopping(cps: CommandLine, service: str) -> None:
    cps.ok(f"cps-service start {service}")
    cps.ok(f"cps-service stop {service} --no-wait")


def _stopped(cps: CommandLine, service: str) -> None:
    cps.ok(f"cps-service start {service}")
    cps.ok(f"cps-service stop {service}")


def _failed(cps: CommandLine, service: str) -> None:
    cps.refused(f"cps-service start {service} --cloud empty", "there is no image")


def long(*reached: Callable[[CommandLine, str], None]) -> list[Any]:
    return [pytest.param(each, marks=LONG) for each in reached]


@pytest.mark.parametrize(
    "reach", [_adapting, *long(_init, _starting, _running, _stopping, _stopped, _failed)]
)
def test_a_service_can_be_removed_from_every_state(
    nutshell: Nutshell, cps: CommandLine, running: int, reach: Callable[[CommandLine, str], None]
) -> None:
    sid = cps.rows(f"cps-service add helloworld {running}")["sid"]
    reach(cps, f"{running} {sid}")
    cps.ok(f"cps-service remove {running} {sid}")
    cps.refused(f"cps-service get_state {running} {sid}", f"no service with id {sid}")
    machines = cps.rows(f"cps-machine list -a {running}")
    assert [row for row in machines if row["sid"] == sid] == []
    nutshell.no_leaks()


@pytest.mark.parametrize("reach", [_starting, *long(_init, _adapting, _stopped, _failed)])
def test_a_service_can_be_stopped_from_every_state(
    nutshell: Nutshell, cps: CommandLine, running: int, reach: Callable[[CommandLine, str], None]
) -> None:
    sid = cps.rows(f"cps-service add helloworld {running}")["sid"]
    reach(cps, f"{running} {sid}")
    cps.ok(f"cps-service stop {running} {sid}")
    assert settle(cps, running, sid) == "STOPPED"
    assert nodes(cps, running, sid) == []
    nutshell.no_leaks()
    cps.ok(f"cps-service remove {running} {sid}")


def test_an_application_can_be_deleted_while_its_service_grows(
    nutshell: Nutshell, cps: CommandLine
) -> None:
    with application(nutshell, "Cut short") as aid:
        sid = cps.rows(f"cps-service add helloworld {aid}")["sid"]
        cps.ok(f"cps-service start {aid} {sid}")
        cps.ok(f"cps-service add_nodes {aid} {sid} --count 2 --no-wait")
    wait_for(
        "no machine of it", lambda: not any(f"-a{aid}-" in name for name in nutshell.machines())
    )
    nutshell.no_leaks()
