"""A machine dies while a backup is restored: in the end the old data run, or the restored ones."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from conpaas.errors import AgentError, ConPaaSError
from conpaas.rpc import Upload, finish
from conpaas.state import State
from conpaas_mysql.rehearsed_backups import HALF
from conpaas_mysql.theatre import Theatre

TRY, READ = "try_database_backup", "read_database_backup"


def see(theatre: Theatre, until: Callable[[], Any]) -> None:
    """Have the manager look at its nodes, as it does all the time, until something is true."""

    def is_true() -> bool:
        with suppress(LookupError, sqlite3.ProgrammingError):  # of a manager that is killed
            theatre.cluster.look()
        return bool(until())

    theatre.cluster.wait(is_true, 60)


def at_work(theatre: Theatre) -> bool:
    """Whether a job is at work; while the manager is away, one may be."""
    try:
        return bool(theatre.manager.runner.busy(theatre.host.name))
    except (LookupError, sqlite3.ProgrammingError):
        return True


def begin(theatre: Theatre, what: str, **counts: int) -> str:
    """Begin to restore what was first; return the name of the database that is at a part of it."""
    theatre.start(**counts)
    theatre.write()
    name = theatre.run(theatre.user.backup()).name
    theatre.stage.contents = "second"
    theatre.stage.lasting.add(what)
    seen = len(theatre.stage.events)
    theatre.user.restore(name=name)

    def found() -> list[str]:
        return [who for who, did, _ in theatre.stage.events[seen:] if did == what]

    theatre.cluster.wait(found, 60)
    if what == READ:
        theatre.cluster.wait(lambda: theatre.stage.contents == HALF, 60)
    return next(s.name for s in theatre.world.servers.values() if s.address == found()[0])


def end(theatre: Theatre, what: str) -> None:
    """Have it last no longer, and see the job end."""
    theatre.stage.lasting.discard(what)
    see(theatre, lambda: not at_work(theatre))


def check(theatre: Theatre, contents: str, databases: int) -> None:
    """Make sure that the service runs with these contents, on as many databases as it had."""
    theatre.idle()
    theatre.settle()
    assert theatre.state is State.RUNNING, theatre.history()[-1]
    assert theatre.stage.contents == contents
    assert theatre.primary() == [f"mysql-{number + 1}" for number in range(databases)]
    assert theatre.write()
    assert len(theatre.cluster.provider.machines) == 2 + databases


@pytest.mark.parametrize("what", [TRY, READ])
@pytest.mark.parametrize("which", ["its own", "another"])
@pytest.mark.parametrize("databases", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_machine_that_dies_is_replaced_and_the_backup_is_restored_all_the_same(
    theatre: Theatre, what: str, which: str, databases: int
) -> None:
    name = begin(theatre, what, mysql=databases, glb=1)
    assert theatre.stage.contents == (HALF if what == READ else "second")
    theatre.break_machines(name if which == "its own" else "mysql-1")
    assert theatre.primary() == ([] if databases == 2 else theatre.primary())
    see(theatre, lambda: len(theatre.primary()) == databases)
    assert at_work(theatre)
    end(theatre, what)
    check(theatre, "first", databases)


@pytest.mark.parametrize("what", [TRY, READ])
def test_the_only_machine_dies_and_the_backup_is_restored_on_the_next(
    theatre: Theatre, what: str
) -> None:
    name = begin(theatre, what, mysql=1, glb=1)
    theatre.break_machines(name)
    see(theatre, lambda: theatre.primary() == ["mysql-1"])
    end(theatre, what)
    check(theatre, "first", 1)


@pytest.mark.parametrize("what", [TRY, READ])
def test_a_server_that_is_killed_comes_back_and_the_backup_is_restored(
    theatre: Theatre, what: str
) -> None:
    theatre.kill(begin(theatre, what, mysql=2, glb=1))
    see(theatre, lambda: len(theatre.primary()) == 2)
    end(theatre, what)
    check(theatre, "first", 2)


@pytest.mark.parametrize("what", [TRY, READ])
def test_the_manager_dies_after_a_machine(theatre: Theatre, what: str) -> None:
    theatre.break_machines(begin(theatre, what, mysql=2, glb=1))
    theatre.cluster.restart(theatre.managers_machine)
    see(theatre, lambda: len(theatre.primary()) == 2)
    end(theatre, what)
    check(theatre, "first", 2)


def test_the_manager_dies_while_a_balancer_is_replaced(theatre: Theatre) -> None:
    begin(theatre, READ, mysql=2, glb=1)
    address = theatre.user.get_address().host
    held = theatre.hold_machines()
    theatre.break_balancer()
    see(theatre, held.asked.is_set)
    theatre.cluster.restart(theatre.managers_machine)
    held.may_boot.set()
    end(theatre, READ)
    check(theatre, "first", 2)
    assert theatre.user.get_address().host == address
    ((where, part, _),) = theatre.stage.balancers()
    assert where == address
    assert [server.name for server in part.servers] == ["mysql-1", "mysql-2"]


def test_a_load_is_watched_while_another_machine_is_replaced(theatre: Theatre) -> None:
    name = begin(theatre, READ, mysql=3, glb=1)
    other = next(one for one in ("mysql-2", "mysql-3") if one != name)
    held = theatre.hold_machines()
    machines = len(theatre.cluster.provider.machines)
    theatre.break_machines(other)
    see(theatre, lambda: len(theatre.cluster.provider.machines) == machines)
    # Its new machine is on its way yet; what was loaded is cut off, and that is noticed.
    theatre.kill(name)

    def told() -> list[str]:
        steps = theatre.manager.runner.report(theatre.manager.runner.latest(1)[0].id).steps
        return [step.message for step in steps if step.message.startswith("it has failed: ")]

    see(theatre, told)
    assert not held.may_boot.is_set() and at_work(theatre)
    held.may_boot.set()
    end(theatre, READ)
    check(theatre, "first", 3)


def test_the_manager_dies_while_the_others_join_after_a_fault(
    theatre: Theatre, stage: Any
) -> None:
    name = begin(theatre, READ, mysql=2, glb=1)
    number = len(stage.events)
    died: list[int] = []

    def die(present: int) -> None:
        if not died and any(what == "join_database" for _, what, _ in stage.events[number:]):
            died.append(present)
            theatre.cluster.restart(theatre.managers_machine)

    stage.before = die
    theatre.break_machines(name)
    see(theatre, lambda: died)
    see(theatre, lambda: len(theatre.primary()) == 2)
    end(theatre, READ)
    check(theatre, "first", 2)


def test_the_machine_that_joined_after_a_fault_dies_too(theatre: Theatre) -> None:
    name = begin(theatre, READ, mysql=3, glb=1)
    theatre.break_machines(name)
    see(theatre, lambda: len(theatre.primary()) == 3)
    theatre.break_machines(name)
    see(theatre, lambda: len(theatre.primary()) == 3)
    end(theatre, READ)
    check(theatre, "first", 3)


def test_what_can_be_restored_neither_forth_nor_back_is_told_and_repaired(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2, glb=1)
    name = theatre.run(theatre.user.backup()).name
    stage.contents = "second"
    addresses = [theatre.address(f"mysql-{number}") for number in (1, 2)]
    stage.failing |= {(address, READ): "the disk is full" for address in addresses}
    with pytest.raises(AgentError, match=r"A repair puts backup-.* back; to keep what there is"):
        theatre.run(theatre.user.restore(name=name))
    theatre.idle()
    assert theatre.state is State.ERROR
    with pytest.raises(AgentError, match="the disk is full"):
        theatre.run(theatre.user.repair())
    theatre.idle()
    assert theatre.state is State.ERROR
    stage.failing.clear()
    theatre.run(theatre.user.repair())
    check(theatre, "second", 2)


def test_a_restore_that_was_stopped_half_way_goes_back_when_the_service_starts(
    theatre: Theatre,
) -> None:
    begin(theatre, READ, mysql=2, glb=1)
    assert theatre.stage.contents == HALF
    theatre.run(theatre.user.stop())
    theatre.stage.lasting.clear()
    theatre.run(theatre.user.start())
    check(theatre, "second", 2)


def test_who_keeps_what_there_is_deletes_the_backup_and_repairs(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start()
    name = theatre.run(theatre.user.backup()).name
    stage.failing[theatre.address("mysql-1"), READ] = "the disk is full"
    with pytest.raises(AgentError, match=f"A repair puts {name} back"):
        theatre.run(theatre.user.restore(name=name, unsaved=True))
    theatre.idle()
    assert theatre.state is State.ERROR
    theatre.run(theatre.user.delete_backup(name=name))
    theatre.run(theatre.user.repair())
    assert theatre.state is State.RUNNING
    assert any(f"the backup {name} is gone" in line for line in theatre.history())


@pytest.mark.parametrize(
    ("what", "change"),
    [
        (TRY, lambda user, name: user.verify_backup(name=name)),
        (READ, lambda user, name: user.restore(name=name, unsaved=True)),
    ],
)
def test_what_a_manager_that_is_gone_had_begun_ends_before_a_backup_is_worked_on_again(
    theatre: Theatre, stage: Any, what: str, change: Callable[[Any, str], Any]
) -> None:
    theatre.start(mysql=2)
    name = theatre.run(theatre.user.backup()).name
    ends: list[str] = []

    def work(agent: Any) -> None:
        try:
            finish(getattr(agent, what)(Upload(io.BytesIO(b"old"), "the backup", 3)))
        except ConPaaSError as error:
            ends.append(str(error))

    stage.lasting.add(what)
    threads = [threading.Thread(target=work, args=(agent,)) for agent in theatre.agents()]
    for thread in threads:
        thread.start()
    theatre.cluster.wait(lambda: all(agent._working for agent in theatre.agents()))
    begun = len(stage.events)
    seen: list[list[bool]] = []

    def note(number: int) -> None:
        if any(did == what for _, did, _ in stage.events[begun:number]):
            seen.append([agent._working for agent in theatre.agents()])

    stage.before = note
    job = change(theatre.user, name)
    theatre.cluster.wait(lambda: seen)
    stage.lasting.clear()
    theatre.run(job)
    for thread in threads:
        thread.join()
    assert seen[0] == [False, False]
    assert ends == ["it was given up"] * 2
    assert stage.contents == "first"


def test_a_backup_that_is_tried_gives_way_and_its_database_has_nothing_left_to_do(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start()
    name = theatre.run(theatre.user.backup()).name
    stage.lasting.add(TRY)
    theatre.user.verify_backup(name=name)
    (agent,) = theatre.agents()
    theatre.cluster.wait(lambda: agent._working)
    theatre.add(mysql=1)
    theatre.cluster.wait(lambda: not agent._working)
    assert TRY in stage.lasting
