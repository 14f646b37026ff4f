"""A machine that dies while the service starts is replaced: nobody need repair anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from conpaas.errors import ConPaaSError, UnreachableError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.state import State
from conpaas_mysql.theatre import Theatre

LONG = pytest.mark.long

ALL = ["mysql-1", "mysql-2", "mysql-3"]


def lose(theatre: Theatre, role: str, position: int) -> None:
    """Have the machine of a node vanish."""
    nodes = theatre.manager.book.nodes(1)
    machine = next(n.machine for n in nodes if (n.role, n.position) == (role, position))
    machines = theatre.cluster.machines
    theatre.cluster.provider.remove(next(i for i, m in machines.items() if m.number == machine))


def at(stage: Any, step: int, happens: Callable[[], None]) -> list[int]:
    """Have something happen at a step from now on; return where it is noted that it has."""
    number, done = len(stage.events) + step, list[int]()

    def look(present: int) -> None:
        if present >= number and not done:
            done.append(present)
            happens()

    stage.before = look
    return done


def end(theatre: Theatre) -> None:
    """Have the manager look at its nodes, as it does all the time, until no job is at work."""

    def is_over() -> bool:
        with suppress(LookupError, sqlite3.ProgrammingError):  # of a manager that is killed
            theatre.cluster.look()
            return not theatre.manager.runner.busy(theatre.host.name)
        return False

    theatre.cluster.wait(is_over, 60)
    theatre.stage.before = lambda number: None


def check(theatre: Theatre) -> None:
    """Make sure that all is there, once."""
    end(theatre)
    assert theatre.state is State.RUNNING, theatre.history()[-1]
    assert theatre.primary() == ALL
    assert theatre.write()
    assert sorted(theatre.roles().values()) == ["glb", "mysql", "mysql", "mysql"]
    assert len(theatre.cluster.provider.machines) == 5
    assert theatre.volumes() == [f"mysql-1-{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("role", "position"),
    [
        ("mysql", 0),
        pytest.param("mysql", 1, marks=LONG),
        pytest.param("mysql", 2, marks=LONG),
        ("glb", 0),
    ],
)
def test_a_machine_that_dies_at_any_step_of_a_start_is_replaced(
    theatre: Theatre, stage: Any, role: str, position: int
) -> None:
    theatre.start(mysql=3, glb=1)
    for step in (1, 8, 11):
        theatre.write()
        theatre.run(theatre.user.stop())
        lost = at(stage, step, lambda: lose(theatre, role, position))
        theatre.user.start()
        check(theatre)
        assert lost or step > 10
        assert not lost or any("is lost: it is replaced" in line for line in theatre.history())


@pytest.mark.parametrize(("step", "later"), [(1, 2), pytest.param(6, 1, marks=LONG), (9, 4)])
def test_a_machine_dies_in_a_start_and_then_the_manager(
    theatre: Theatre, stage: Any, step: int, later: int
) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.write()
    theatre.run(theatre.user.stop())
    killed: list[int] = []

    def kill() -> None:
        killed.extend(at(stage, later, lambda: theatre.cluster.restart(theatre.managers_machine)))

    def happens() -> None:
        lose(theatre, "mysql", 1)
        kill()

    lost = at(stage, step, happens)
    with suppress(UnreachableError):  # the manager may be killed before it has answered
        theatre.user.start()
    check(theatre)
    assert lost


def test_a_machine_that_dies_when_it_gets_its_volume_is_replaced(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.write()
    theatre.run(theatre.user.stop())
    mount, lost = VolumeAgent.mount_volume, list[str]()

    def die_first(agent: Any, name: str, device: str) -> Any:
        if not lost and name == "mysql-1-2":
            lost.append(name)
            lose(theatre, "mysql", 1)
        return mount(agent, name=name, device=device)

    monkeypatch.setattr(VolumeAgent, "mount_volume", die_first)
    theatre.user.start()
    check(theatre)
    assert lost


def test_a_repair_replaces_what_dies_meanwhile_too(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.write()
    theatre.run(theatre.user.stop())
    stage.refused.add("utf8mb4")
    with pytest.raises(ConPaaSError, match="is refused"):
        theatre.run(theatre.user.start())
    stage.refused.clear()
    assert theatre.state is State.ERROR
    lost = at(stage, 7, lambda: lose(theatre, "mysql", 2))
    theatre.user.repair()
    check(theatre)
    assert lost


def test_a_service_whose_machines_die_again_and_again_says_so(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.run(theatre.user.stop())
    stage.before = lambda number: None

    def die(number: int) -> None:
        with suppress(StopIteration):
            lose(theatre, "mysql", 1)

    stage.before = die
    theatre.user.start()
    end(theatre)
    assert theatre.state is State.ERROR
    theatre.user.repair()
    check(theatre)
