"""The first session of a user, as the foundation's issue prints it, on real machines.

The steps are one story, told by tests in their order: each finds what the one before has left.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from e2e import CommandLine, Nutshell, wait_for

#: A step of a job, as it is told where no terminal is.
PROGRESS = re.compile(r"^\[ *\d+%\] \S.*$", re.MULTILINE)
SCRIPTS = {
    "init.sh": 'echo "init on $MY_ROLE"',
    "run.sh": 'echo "run.sh got $#: <$1>"; echo "and an error" >&2; sleep 600',
    "interrupt.sh": 'echo "interrupt.sh was here"',
    "cleanup.sh": 'echo "clean again"',
    "notify.sh": 'echo "notified of $(grep -o agent- "$AGENTS_FILE" | wc -l)"',
}


@pytest.fixture(scope="module")
def story(nutshell: Nutshell) -> dict[str, str]:
    """What later steps must know of earlier ones."""
    return {}


def test_an_application_is_created_and_started(cps: CommandLine, story: dict[str, str]) -> None:
    out = cps.ok('cps-tools application create "First app"')
    found = re.fullmatch(r"Application 'First app' created with id (\d+)\.\n", out)
    assert found, out
    aid = story["aid"] = found[1]

    ran = cps(f"cps-tools application start {aid}")
    assert ran.code == 0, str(ran)
    assert ran.out == f"Application 'First app' with id {aid} is running.\n"
    assert len(PROGRESS.findall(ran.err)) > 1, str(ran)
    (row,) = (r for r in cps.rows("cps-tools application list") if str(r["aid"]) == aid)
    assert (row["status"], row["cloud"]) == ("RUNNING", "local")
    assert re.fullmatch(r"10(\.\d+){3}", row["manager"])


def test_a_service_of_an_installed_type_is_added(cps: CommandLine, story: dict[str, str]) -> None:
    types = [row["type"] for row in cps.rows("cps-tools service get_types")]
    assert {"generic", "helloworld"} <= set(types)
    out = cps.ok(f"cps-tools service add helloworld {story['aid']}")
    assert out == (
        f"Service helloworld successfully added to application {story['aid']} with id 1.\n"
    )
    cps.refused(f"cps-tools service add hellowrold {story['aid']}", "helloworld")


def test_it_starts_on_a_machine_which_greets(cps: CommandLine, story: dict[str, str]) -> None:
    ran = cps(f"cps-tools service start {story['aid']} 1")
    assert ran.code == 0, str(ran)
    assert len(PROGRESS.findall(ran.err)) > 1, str(ran)
    (greeting,) = cps.rows(f"cps-tools helloworld get_helloworld {story['aid']} 1")
    assert greeting["greeting"] == "Hello, world!"


def test_with_two_more_nodes_three_machines_greet(cps: CommandLine, story: dict[str, str]) -> None:
    cps.ok(f"cps-service add_nodes {story['aid']} 1 --count 2")
    text = cps.ok(f"cps-tools helloworld get_helloworld {story['aid']} 1 --name Anna")
    assert text.count("Hello, Anna!") == 3
    greetings = cps.rows(f"cps-tools helloworld get_helloworld {story['aid']} 1")
    assert len({greeting["ip"] for greeting in greetings}) == 3
    nodes = cps.rows(f"cps-service list_nodes {story['aid']} 1")
    assert [node["ip"] for node in nodes] == [greeting["ip"] for greeting in greetings]


def test_a_generic_service_starts_with_its_master(cps: CommandLine, story: dict[str, str]) -> None:
    aid = story["aid"]
    out = cps.ok(f"cps-tools service add generic {aid}")
    assert out == f"Service generic successfully added to application {aid} with id 2.\n"
    cps.ok(f"cps-generic start {aid} 2")
    header, dashes, row = cps.ok(f"cps-generic list_nodes {aid} 2").splitlines()
    assert header.split()[:3] == ["aid", "sid", "role"]
    assert set(dashes) == {"-"}
    assert row.split()[:3] == [aid, "2", "master"]
    (node,) = cps.rows(f"cps-generic list_nodes {aid} 2")
    story["agent"] = node["agent_id"]
    (code,) = cps.rows(f"cps-generic list_codes {aid} 2")
    assert (code["current"], code["codeVersionId"]) == ("*", "code-default")


def test_code_of_ones_own_is_uploaded_and_enabled(
    cps: CommandLine, story: dict[str, str], tmp_path: Path
) -> None:
    archive = tmp_path / "my-app.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in SCRIPTS.items():
            script = tmp_path / name
            script.write_text(f"#!/bin/bash\n{text}\n")
            script.chmod(0o755)
            packed.add(script, name)
    out = cps.ok(f"cps-generic upload_code {story['aid']} 2 {archive}")
    found = re.fullmatch(r"Code version '(code-\S+)' uploaded\.\n", out)
    assert found, out
    version = story["version"] = found[1]
    cps.ok(f"cps-generic enable_code {story['aid']} 2 {version}")
    codes = cps.rows(f"cps-generic list_codes {story['aid']} 2")
    assert [(code["codeVersionId"], code["current"]) for code in codes] == [
        (version, "*"),
        ("code-default", ""),
    ]
    assert codes[0]["filename"] == "my-app.tar.gz"


def test_run_gets_its_parameters_as_they_were_quoted(
    cps: CommandLine, story: dict[str, str]
) -> None:
    aid, agent = story["aid"], story["agent"]
    out = cps.ok(["cps-generic", "run", aid, "2", "-p", "'a b'"])
    assert "run.sh" in out
    (row,) = cps.rows(f"cps-generic get_script_status {aid} 2")
    assert row["run"] == "RUNNING"
    assert row["init"] == "STOPPED (return code 0)"

    def log() -> str:
        return cps.ok(f"cps-generic get_agent_log {aid} 2 {agent} -f agent.out")

    wait_for("the output of run.sh", lambda: "run.sh got" in log())
    assert log() == "init on master\nrun.sh got 1: <a b>\n"
    assert cps.ok(f"cps-generic get_agent_log {aid} 2 {agent} -f agent.err") == "and an error\n"
    cps.refused(f"cps-generic run {aid} 2", "Scripts are still running")


def test_a_node_joins_while_the_scripts_run(cps: CommandLine, story: dict[str, str]) -> None:
    cps.ok(f"cps-generic add_nodes {story['aid']} 2 --count 1")
    rows = cps.rows(f"cps-generic get_script_status {story['aid']} 2")
    assert [(row["role"], row["run"]) for row in rows] == [
        ("master", "RUNNING"),
        ("node", "NEVER STARTED"),
    ]


def test_interrupt_ends_what_runs_and_cleanup_cleans(
    cps: CommandLine, story: dict[str, str]
) -> None:
    aid, agent = story["aid"], story["agent"]
    cps.ok(f"cps-generic interrupt {aid} 2")

    def nothing_runs() -> bool:
        rows = cps.rows(f"cps-generic get_script_status {aid} 2")
        return not any("RUNNING" in row.values() for row in rows)

    wait_for("the end of all scripts", nothing_runs)
    cps.refused(f"cps-generic interrupt {aid} 2", "Nothing to interrupt")
    cps.ok(f"cps-generic cleanup {aid} 2")
    wait_for("the end of cleanup.sh", nothing_runs)
    rows = cps.rows(f"cps-generic get_script_status {aid} 2")
    assert {row["cleanup"] for row in rows} == {"STOPPED (return code 0)"}
    out = cps.ok(f"cps-generic get_agent_log {aid} 2 {agent} -f agent.out")
    assert out.splitlines()[-2:] == ["interrupt.sh was here", "clean again"]


def test_a_node_is_removed_and_the_service_with_the_last_ones(
    cps: CommandLine, nutshell: Nutshell, story: dict[str, str]
) -> None:
    aid = story["aid"]
    before = cps.rows(f"cps-service list_nodes {aid} 1")
    cps.ok(f"cps-service remove_nodes {aid} 1 --count 1")
    assert cps.rows(f"cps-service list_nodes {aid} 1") == before[:2]
    cps.refused(f"cps-service remove_nodes {aid} 1 --count 2", "must keep one")

    cps.ok(f"cps-tools service stop {aid} 1")
    assert cps.rows(f"cps-service list_nodes {aid} 1") == []
    ran = cps(f"cps-tools service remove {aid} 1")
    assert ran.out == f"Service 1 of application {aid} has been successfully removed.\n", str(ran)
    services = cps.rows(f"cps-service list -a {aid}")
    assert [(s["sid"], s["type"], s["status"]) for s in services] == [(2, "generic", "RUNNING")]
    nutshell.no_leaks()


def test_a_stopped_application_keeps_services_and_code_and_comes_back(
    cps: CommandLine, nutshell: Nutshell, story: dict[str, str]
) -> None:
    aid = story["aid"]
    codes = cps.rows(f"cps-generic list_codes {aid} 2")
    roles = [node["role"] for node in cps.rows(f"cps-generic list_nodes {aid} 2")]
    cps.ok(f"cps-service rename {aid} 2 Counter")
    out = cps.ok(f"cps-tools application stop {aid}")
    assert out == f"Application 'First app' with id {aid} was stopped.\n"
    assert cps.rows(f"cps-machine list -a {aid}") == []
    nutshell.no_leaks()
    (service,) = cps.rows(f"cps-service list -a {aid}")
    assert (service["name"], service["status"]) == ("Counter", "STOPPED")
    cps.refused(f"cps-generic list_codes {aid} 2", f"cps-tools application start {aid}")

    cps.ok(f"cps-tools application start {aid}")
    assert cps.rows(f"cps-generic list_codes {aid} Counter") == codes
    cps.ok(f"cps-generic start {aid} Counter")
    assert [n["role"] for n in cps.rows(f"cps-generic list_nodes {aid} 2")] == roles
    for node in cps.rows(f"cps-generic list_nodes {aid} 2"):
        out = cps.ok(f"cps-generic get_agent_log {aid} 2 {node['agent_id']} -f agent.out")
        assert out == f"init on {node['role']}\n"


def test_a_deleted_application_leaves_nothing(
    cps: CommandLine, nutshell: Nutshell, story: dict[str, str]
) -> None:
    aid = story["aid"]
    out = cps.ok(f"cps-tools application delete {aid}")
    assert out == f"Application 'First app' with id {aid} has been deleted.\n"
    assert f"-a{aid}-" not in " ".join(nutshell.machines())
    cps.refused(f"cps-tools application get_info {aid}", f"no application with id {aid}")
    assert not any((nutshell.home / "director" / "applications").glob(f"{aid}/*"))
    nutshell.no_leaks()
