"""What comes and goes leaves nothing behind, however often it does."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from e2e import Nutshell, wait_for
from hosted import Hosted
from phpcode import probe

from conpaas.clouds.base import CloudMachine

#: What a service writes on machines lies below these.
PLACES = ("srv", "etc", "run", "tmp", "opt", "var/lib", "var/tmp")
#: How many descriptors and workers more there may be by chance: fewer than cycles.
CHANCE = 5
_CLOSE_WAIT = "08"  #: as the kernel writes it


@dataclass(frozen=True)
class Traces:
    """What there is of a service.

    Args:
        programs: Names of the processes on the machines that stay, with their machine.
        files: On the machines that stay, with their machine.
        machines: Names of the cloud's machines.
        links: Network devices on the bridge of the nutshell.
        volumes: Of the cloud.
        mounts: Of this machine, below the nutshell's home.
        rows: Machines that the director knows.
        descriptors: Open files of the machines' servers, by machine.
        processes: How many there are, by machine.
    """

    programs: frozenset[tuple[str, str]]
    files: frozenset[tuple[str, str]]
    machines: frozenset[str]
    links: int
    volumes: int
    mounts: int
    rows: int
    descriptors: dict[str, int]
    processes: dict[str, int]


@pytest.fixture(scope="module")
def site(nutshell: Nutshell, running: int, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    hosted = Hosted(nutshell, running, tmp_path_factory.mktemp("code"))
    hosted.deploy(probe("one"))
    hosted.ok("start")
    return hosted


def traces(site: Hosted, staying: list[CloudMachine]) -> Traces:
    """Look at everything that could be left behind."""
    nutshell = site.nutshell
    home = str(nutshell.home)
    links = subprocess.run(
        ["ip", "-o", "link", "show", "master", f"cps-{nutshell.name[:11]}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    running = {machine.name: _processes(nutshell, machine) for machine in staying}
    return Traces(
        programs=frozenset((m, p.name()) for m, ps in running.items() for p in ps),
        files=frozenset(
            (machine.name, str(path.relative_to(nutshell.root(machine))))
            for machine in staying
            for place in PLACES
            for path in (nutshell.root(machine) / place).rglob("*")
        ),
        machines=frozenset(nutshell.machines()),
        links=len(links.stdout.splitlines()),
        volumes=len(nutshell.cloud.list_volumes()),
        mounts=Path("/proc/mounts").read_text().count(home),
        rows=len(nutshell.cps.rows("cps-machine list")),
        descriptors={m.name: _descriptors(nutshell.server(m)) for m in staying},
        processes={m: len(ps) for m, ps in running.items()},
    )


def _descriptors(server: psutil.Process) -> int:
    """Return how many files are open, without kept connections that the other side has closed.

    A server closes those to nodes that have gone after five minutes.
    """
    sockets = [
        line.split() for line in Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()
    ]
    closed = {f"socket:[{fields[9]}]" for fields in sockets if fields[3] == _CLOSE_WAIT}
    there = Path(f"/proc/{server.pid}/fd").iterdir()
    return sum(os.readlink(descriptor) not in closed for descriptor in there)


def _processes(nutshell: Nutshell, machine: CloudMachine) -> list[psutil.Process]:
    init = nutshell.cloud.driver.instances.init(machine.id)
    assert init is not None
    return psutil.Process(init.pid).children(recursive=True)


def more(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Return what there is clearly more of."""
    return {name: n for name, n in now.items() if n > before[name] + CHANCE}


def test_ten_cycles_of_adding_and_removing_leave_everything_as_it_was(site: Hosted) -> None:
    (first,) = site.nodes()
    staying = [site.machine(first["agent_id"]), site.nutshell.machine(site.aid)]

    def cycle() -> None:
        site.ok("add_nodes --backend 1")
        assert site.get()[0] == 200
        site.ok("remove_nodes --backend 1")
        assert site.get()[0] == 200

    cycle()  # makes what is made once
    before = traces(site, staying)
    for _ in range(10):
        cycle()

    def is_as_before() -> bool:
        now = traces(site, staying)
        nonlocal after
        after = now
        return (
            now.programs == before.programs
            and now.files == before.files
            and (now.machines, now.links, now.volumes, now.mounts, now.rows)
            == (before.machines, before.links, before.volumes, before.mounts, before.rows)
            and not more(now.descriptors, before.descriptors)
            and not more(now.processes, before.processes)
        )

    after = before
    try:
        wait_for("everything as before", is_as_before, 20)
    except AssertionError:
        lines = [
            f"{name}: {_difference(getattr(before, name), getattr(after, name))}"
            for name in Traces.__dataclass_fields__
            if getattr(before, name) != getattr(after, name)
        ]
        raise AssertionError("\n".join(lines)) from None


def _difference(before: object, after: object) -> str:
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        gone = Counter(str(one) for one in before - after)
        come = Counter(str(one) for one in after - before)
        return f"gone {sorted(gone)[:20]}, come {sorted(come)[:20]}"
    return f"{before} -> {after}"
