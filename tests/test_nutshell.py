"""The nutshell's own life: started twice, stopped, started, destroyed, and two side by side."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e import Nutshell, kill, wait_for

NAME = "e2etwo"


@pytest.fixture(scope="module")
def second(make_nutshell: Callable[..., Nutshell], nutshell: Nutshell) -> Nutshell:
    """A nutshell beside the one that the tests share, with an application of two nodes."""
    made = make_nutshell(NAME)
    cps = made.cps
    aid = cps.rows('cps-application create "Beside"')["aid"]
    cps.ok(f"cps-application start {aid}")
    cps.ok(f"cps-service add helloworld {aid}")
    cps.ok(f"cps-service start {aid} 1")
    cps.ok(f"cps-service add_nodes {aid} 1 --count 1")
    return made


def greetings(nutshell: Nutshell) -> list[dict[str, str]]:
    ran = nutshell.cps("cps-helloworld get_helloworld Beside 1 -f json")
    return list(json.loads(ran.out)) if ran.code == 0 else []


def traces(nutshell: Nutshell) -> dict[str, list[str]]:
    """Return what there is of a nutshell on this machine, by kind."""
    home, bridge, prefix = str(nutshell.home), f"cps-{nutshell.name}", f"{nutshell.name}-"

    def lines(*command: str) -> list[str]:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()

    marks = (home, bridge, bridge.replace("-", "_"), prefix)

    def ours(found: list[str]) -> list[str]:
        return [line for line in found if any(mark in line for mark in marks)]

    processes = [line for line in lines("ps", "-ewwo", "pid,args") if "pytest" not in line]
    files = [
        str(path)
        for place in ("/run", "/etc", "/var/lib", "/var/log", "/var/cache/conpaas", "/dev")
        for path in Path(place).glob("*")
    ]
    return {
        "processes": ours(processes),
        "mounts": ours(Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": ours(lines("ip", "-o", "link")),
        "routes": ours(lines("ip", "-4", "route")),
        "loop devices": ours(lines("losetup", "-a")),
        "nft tables": ours(lines("nft", "list", "tables")),
        "cgroups": ours(lines("find", "/sys/fs/cgroup", "-maxdepth", "3", "-type", "d")),
        "files": ours([*files, *map(str, Path("/var/lib/conpaas").glob("*"))]),
        "image users": [
            str(link)
            for link in Path("/var/cache/conpaas/images/.users").glob("*")
            if link.is_symlink() and str(link.readlink()).startswith(home)
        ],
        "the user's files": [str(path) for path in (nutshell.user / ".conpaas").rglob("*")],
        "programs": [str(path) for path in nutshell.links.glob("*")],
    }


def test_two_nutshells_live_side_by_side(nutshell: Nutshell, second: Nutshell) -> None:
    assert len(greetings(second)) == 2
    mine = {machine.address for machine in nutshell.machines().values()}
    theirs = {machine.address for machine in second.machines().values()}
    assert len(theirs) == 3
    assert mine.isdisjoint(theirs)
    assert nutshell.cloud.subnet != second.cloud.subnet
    names = {row["name"] for row in nutshell.cps.rows("cps-application list")}
    assert "Beside" not in names
    # The token of one is nothing to the other.
    headers = {"Authorization": f"Bearer {second.token}"}
    assert nutshell.call("GET", "/application/list", headers=headers).status == 401


def test_status_tells_what_runs(second: Nutshell) -> None:
    ran = second.run("status")
    assert ran.code == 0, str(ran)
    for name in ("director", "front", "worker"):
        assert f"  {name}: running, pid {second.process(name)}\n" in ran.out
    assert "machines: 3\n" in ran.out
    for name, machine in second.machines().items():
        assert f"  {name}: running, {machine.address}\n" in ran.out


def test_start_again_keeps_everything_and_takes_new_code(second: Nutshell) -> None:
    before, worker = greetings(second), second.process("worker")
    config = second.config.read_text()
    out = second.ok("start")
    assert "password" not in out
    assert "cps-tools application list" in out
    assert "First app" not in out, "that was the first time"
    assert second.process("worker") != worker
    assert second.config.read_text() == config
    assert greetings(second) == before


def test_stop_and_start_bring_the_machines_back_as_they_were(second: Nutshell) -> None:
    before = greetings(second)
    machines = second.cps.rows("cps-machine list")
    second.ok("stop")
    left = traces(second)
    assert left["processes"] == left["mounts"] == left["links"] == left["nft tables"] == []
    ran = second.run("status")
    assert ran.code == 3, str(ran)
    assert "worker: stopped" in ran.out
    second.ok("stop")

    second.ok("start")
    wait_for("the same greetings", lambda: greetings(second) == before, 90)
    assert second.cps.rows("cps-machine list") == machines
    second.no_leaks()


def test_destroy_leaves_nothing(second: Nutshell) -> None:
    there = traces(second)
    missing = {kind for kind, found in there.items() if not found}
    # That there is nothing later must mean something: it was there before.
    assert missing <= {"loop devices", "mounts"}, there

    second.destroy()
    assert {kind: found for kind, found in traces(second).items() if found} == {}
    assert second.run("status").code == 3
    assert "there is no nutshell" in second.run("stop").err
    second.destroy()


def test_destroy_takes_what_a_killed_nutshell_has_left(second: Nutshell) -> None:
    second.ok("start")
    aid = second.cps.rows('cps-application create "Left"')["aid"]
    second.cps.ok(f"cps-application start {aid} --no-wait")
    wait_for("its machine", second.machines)
    for process in second.processes():
        kill(process.pid)
    second.destroy()
    assert {kind: found for kind, found in traces(second).items() if found} == {}
