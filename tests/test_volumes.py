"""Volumes, startup scripts and followed logs, on real machines.

The steps are one story, told by tests in their order: each finds what the one before has left.
"""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from e2e import CommandLine, Nutshell, wait_for

from conpaas.features.code.packing import packed

RUN = """
cd /media/data || exit 1
if [ "$1" = daemon ]; then setsid sleep 600 > /dev/null 2>&1 & exit 0; fi
sleep 600
"""


@pytest.fixture(scope="module")
def sid(cps: CommandLine, running: int, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A generic service with a node, whose run.sh uses a volume."""
    number = int(cps.rows(f"cps-generic add {running}")["sid"])
    archive = tmp_path_factory.mktemp("code") / "code.tar.gz"
    archive.write_bytes(packed({"run.sh": RUN}, form="w:gz"))
    version = cps.rows(f"cps-generic upload_code {running} {number} {archive}")["codeVersionId"]
    cps.ok(f"cps-generic enable_code {running} {number} {version}")
    cps.ok(f"cps-generic start {running} {number}")
    return number


def node_of(cps: CommandLine, aid: int, sid: int) -> str:
    """Return the id of the oldest node."""
    return str(cps.rows(f"cps-generic list_nodes {aid} {sid}")[0]["agent_id"])


def inside(nutshell: Nutshell, aid: int, node: str) -> Path:
    """Return the root of a node's files as its agent sees them, mounts included."""
    return Path(f"/proc/{nutshell.server(nutshell.machine(aid, node)).pid}/root")


def mounts(nutshell: Nutshell, aid: int, node: str) -> list[str]:
    """Return where something is mounted in a node's machine."""
    pid = nutshell.server(nutshell.machine(aid, node)).pid
    return [line.split(" ")[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]


def test_a_volume_is_created_as_the_manual_prints_it(
    nutshell: Nutshell, cps: CommandLine, running: int, sid: int
) -> None:
    node = node_of(cps, running, sid)
    out = cps.ok(f"cps-generic create_volume {running} data 16 {node}")
    assert out == f"Creating volume 'data' and attaching it to node '{node}'...  done.\n"
    (row,) = cps.rows(f"cps-generic list_volumes {running} {sid}")
    assert row == {
        "aid": running, "sid": sid, "vol_name": "data", "vol_size": 16, "agent_id": node,
        "cloud": "local", "state": "attached", "needed": False,
    }  # fmt: skip
    assert "/media/data" in mounts(nutshell, running, node)
    (inside(nutshell, running, node) / "media/data/file").write_text("precious")


def test_it_is_mounted_again_after_a_reboot_of_its_machine(
    nutshell: Nutshell, cps: CommandLine, running: int, sid: int
) -> None:
    node = node_of(cps, running, sid)
    machine = nutshell.machine(running, node)
    nutshell.cloud.stop_machine(machine.id)
    nutshell.cloud.start_machine(machine.id)

    def is_back() -> bool:
        return "/media/data" in mounts(nutshell, running, node)

    wait_for("the volume after the reboot", is_back)
    assert (inside(nutshell, running, node) / "media/data/file").read_text() == "precious"

    def serves() -> bool:
        rows = cps.rows(f"cps-generic list_nodes {running} {sid}")
        return [row["state"] for row in rows] == ["ready"]

    wait_for("the node after the reboot", serves)


def test_it_is_not_touched_while_scripts_run_or_anybody_uses_it(
    nutshell: Nutshell, cps: CommandLine, running: int, sid: int
) -> None:
    node = node_of(cps, running, sid)
    delete = f"cps-generic delete_volume --yes {running} data"
    cps.ok(f"cps-generic run {running} {sid}")
    cps.refused(delete, "Scripts are still running")
    cps.refused(f"cps-generic create_volume {running} more 16 {node}", "Scripts are still running")
    for _ in range(2):
        cps.ok(f"cps-generic interrupt {running} {sid}")
        if not any(
            "RUNNING" in str(row)
            for row in cps.rows(f"cps-generic get_script_status {running} {sid}")
        ):
            break

    def over() -> bool:
        rows = cps.rows(f"cps-generic get_script_status {running} {sid}")
        return "RUNNING" not in str(rows)

    wait_for("the end of the script", over)
    cps.ok(f"cps-generic run {running} {sid} -p daemon")
    wait_for("the end of the script", over)
    told = cps.refused(delete, f"the volume data is in use on {node} by sleep (")
    assert "end what uses it first" in told
    init = nutshell.cloud.driver.instances.init(nutshell.machine(running, node).id)
    assert init is not None
    for process in psutil.Process(init.pid).children(recursive=True):
        if process.name() == "sleep":
            process.kill()
            process.wait(5)
    assert (inside(nutshell, running, node) / "media/data/file").read_text() == "precious"


def test_it_is_kept_over_a_stop(
    nutshell: Nutshell, cps: CommandLine, running: int, sid: int
) -> None:
    cps.ok(f"cps-generic stop --yes {running} {sid}")
    (row,) = cps.rows(f"cps-generic list_volumes {running} {sid}")
    assert (row["agent_id"], row["state"]) == ("", "waiting for master")
    cps.ok(f"cps-generic start {running} {sid}")
    node = node_of(cps, running, sid)
    assert (inside(nutshell, running, node) / "media/data/file").read_text() == "precious"


def test_deleted_it_is_gone(nutshell: Nutshell, cps: CommandLine, running: int, sid: int) -> None:
    node = node_of(cps, running, sid)
    out = cps.ok(f"cps-generic delete_volume --yes {running} data")
    assert out == "Detaching volume 'data' and deleting it...  done.\n"
    assert cps.ok(f"cps-generic list_volumes {running} {sid}") == "No existing volumes.\n"
    assert "/media/data" not in mounts(nutshell, running, node)
    assert nutshell.cloud.list_volumes() == []


def test_new_machines_run_the_startup_script_whose_log_can_be_followed(
    cps: CommandLine, running: int, sid: int, tmp_path: Path
) -> None:
    script = tmp_path / "startup.sh"
    script.write_text('echo "here is $(whoami)"\n(sleep 3; echo later) &\n')
    out = cps.ok(f"cps-generic set_script {running} {sid} {script}")
    assert out == "Startup script uploaded successfully.\n"
    assert cps.ok(f"cps-generic get_script {running} {sid}") == script.read_text()
    cps.ok(f"cps-generic add_nodes {running} {sid} --count 1")
    node = cps.rows(f"cps-generic list_nodes {running} {sid}")[-1]["agent_id"]
    follower = cps.begin(
        f"cps-generic get_agent_log {running} {sid} {node} -f startup.log -n 1 --follow"
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "here is root\n"
    assert follower.stdout.readline() == "later\n"
    follower.send_signal(signal.SIGINT)
    _, told = follower.communicate(timeout=10)
    assert (follower.returncode, told.strip()) == (130, "")
    script.write_text("echo no such package; exit 4\n")
    cps.ok(f"cps-generic set_script {running} {sid} {script}")
    cps.refused(f"cps-generic add_nodes {running} {sid} --count 1", "no such package")
    assert len(cps.rows(f"cps-generic list_nodes {running} {sid}")) == 2
