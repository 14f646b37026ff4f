"""While a database gets its copy, which may take an hour, the others are looked after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from conpaas.errors import AgentError, BusyError
from conpaas.state import State
from conpaas_mysql.theatre import Theatre


def wait(theatre: Theatre, until: Callable[[], Any]) -> None:
    """Wait patiently: the machine may have much to do."""
    theatre.cluster.wait(until, 60)


def begin(theatre: Theatre, **counts: int) -> Any:
    """Have databases join whose copies last; return the job, which is at work."""
    theatre.world.copies_last = True
    job = theatre.user.add_nodes(nodes=counts)
    wait(theatre, lambda: copying(theatre))
    return job


def copying(theatre: Theatre) -> list[str]:
    """Return the names of the databases that get their copies."""
    return sorted(s.name for s in list(theatre.world.servers.values()) if s.donor)


def finish(theatre: Theatre, job: Any) -> None:
    """Have the copies come to their end, and with them the job."""
    theatre.world.finish_copies()
    theatre.run(job)


def see(theatre: Theatre, until: Callable[[], Any]) -> None:
    """Have the manager notice who is lost, until something is true."""

    def is_true() -> bool:
        with suppress(sqlite3.ProgrammingError):  # of a manager that is killed just then
            theatre.cluster.look()
        return bool(until())

    wait(theatre, is_true)


def test_who_waits_is_told_how_far_the_copy_is(theatre: Theatre) -> None:
    theatre.start()
    job = begin(theatre, mysql=1)
    address = theatre.address("mysql-2")
    told = ""
    while told != f"mysql-2 ({address}): it has 30 of 100 MB":
        told = next(job).message
    assert theatre.write()
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2"]


def test_a_member_whose_machine_dies_is_replaced_meanwhile(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    job = begin(theatre, mysql=1)
    address = theatre.address("mysql-3")
    theatre.break_machines("mysql-3")
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"])
    assert copying(theatre) == ["mysql-4"]
    assert theatre.write()
    assert theatre.address("mysql-3") == address
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]
    assert sorted(theatre.roles().values()) == ["glb", "mysql", "mysql", "mysql", "mysql"]
    assert f"mysql-3 ({address}) is lost: it is replaced" in theatre.history()
    assert len(theatre.cluster.provider.machines) == 6
    theatre.settle()
    assert theatre.volumes() == [f"mysql-1-{n}" for n in (1, 2, 3, 4)]


def test_when_the_donor_dies_another_one_gives_the_copy(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    job = begin(theatre, mysql=1)
    (joiner,) = [s for s in theatre.world.servers.values() if s.donor]
    assert joiner.donor == theatre.address("mysql-1")
    theatre.break_machines("mysql-1")
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2"])
    wait(theatre, lambda: copying(theatre) == ["mysql-3"])
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    assert theatre.write()


@pytest.mark.parametrize("comes_back", [True, False])
def test_when_the_only_server_is_killed_it_comes_back_and_the_copy_begins_again(
    theatre: Theatre, comes_back: bool
) -> None:
    theatre.start()
    theatre.write()
    job = begin(theatre, mysql=1)
    theatre.kill("mysql-1", comes_back=comes_back)
    wait(theatre, theatre.write)
    wait(theatre, lambda: copying(theatre))
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2"]


def test_when_the_machine_of_the_only_one_dies_its_data_come_back_on_another(
    theatre: Theatre,
) -> None:
    theatre.start()
    theatre.write()
    job = begin(theatre, mysql=1)
    theatre.break_machines("mysql-1")
    see(theatre, theatre.write)
    wait(theatre, lambda: copying(theatre))
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_when_the_machine_of_the_joiner_dies_its_job_fails_at_once_and_the_other_goes_on(
    theatre: Theatre,
) -> None:
    theatre.start()
    theatre.write()
    before = theatre.seen()
    job = begin(theatre, mysql=1)
    theatre.break_machines("mysql-2")
    assert not theatre.write()  # it was one of two
    # What it is told by depends on who notices first.
    with pytest.raises(AgentError, match=r"mysql-2|node-3"):
        see(theatre, lambda: next(job) is None)
    theatre.idle()
    theatre.settle()
    assert theatre.seen() == before
    assert theatre.write()


def test_when_the_machines_of_both_die_nothing_is_lost(theatre: Theatre) -> None:
    theatre.start()
    theatre.write()
    before = theatre.seen()
    job = begin(theatre, mysql=1)
    theatre.break_machines("mysql-1", "mysql-2")
    with pytest.raises(AgentError):
        see(theatre, lambda: next(job) is None)
    theatre.idle()
    theatre.settle()
    assert theatre.seen() == before
    assert theatre.write()


def test_while_one_is_replaced_a_killed_server_is_had_join_again(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    job = begin(theatre, mysql=1)
    may_boot = theatre.hold_machines().may_boot
    theatre.break_machines("mysql-3")
    see(theatre, lambda: len(theatre.cluster.provider.machines) == 6)  # the new one is asked for
    theatre.kill("mysql-2", comes_back=False)
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2"])
    assert theatre.write()
    assert not may_boot.is_set()
    may_boot.set()
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"])
    assert copying(theatre) == ["mysql-4"]
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]


@pytest.mark.parametrize("manager_dies", [pytest.param(False, marks=pytest.mark.long), True])
def test_while_one_is_replaced_another_machine_and_its_own_may_die(
    theatre: Theatre, manager_dies: bool
) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.write()
    begin(theatre, mysql=1)
    may_boot = theatre.hold_machines().may_boot
    theatre.break_machines("mysql-3")
    see(theatre, lambda: len(theatre.cluster.provider.machines) == 6)
    theatre.break_machines("mysql-2")
    see(theatre, lambda: len(theatre.cluster.provider.machines) == 6)
    if manager_dies:
        theatre.cluster.restart(theatre.managers_machine)
    see(theatre, theatre.write)
    may_boot.set()
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"])
    assert copying(theatre) == ["mysql-4"]
    theatre.break_machines("mysql-3")  # the one that has just come
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"])
    theatre.world.finish_copies()
    theatre.idle()
    theatre.settle()
    assert theatre.state is State.RUNNING
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]
    assert sorted(theatre.roles().values()) == ["glb", *["mysql"] * 4]
    assert len(theatre.cluster.provider.machines) == 6
    assert theatre.volumes() == [f"mysql-1-{n}" for n in (1, 2, 3, 4)]


def test_a_replacement_that_its_cloud_refuses_is_tried_again_while_others_join(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conpaas_mysql.replacements._PAUSE", 0.5)
    theatre.start(mysql=3, glb=1)
    job = begin(theatre, mysql=1)
    theatre.cluster.provider.fail_next("create_machine", "no capacity")
    theatre.break_machines("mysql-3")
    see(theatre, lambda: theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"])
    assert copying(theatre) == ["mysql-4"]
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]
    assert len(theatre.cluster.provider.machines) == 6


def test_a_lost_balancer_is_replaced_meanwhile_at_its_address(theatre: Theatre) -> None:
    theatre.start(mysql=2, glb=1)
    address = theatre.user.get_address()
    job = begin(theatre, mysql=1)
    node = next(n for n in theatre.user.list_nodes() if n.role == "glb")
    theatre.cluster.cut(theatre.machine(node.agent_id))
    see(theatre, lambda: node.agent_id not in theatre.roles())
    wait(theatre, theatre.write)
    assert copying(theatre) == ["mysql-3"]
    assert theatre.user.get_address() == address
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]


def test_what_befalls_another_one_for_good_does_not_keep_a_joiner_out(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3, glb=1)
    job = begin(theatre, mysql=1)
    stage.failing[theatre.address("mysql-3"), "join_database"] = "its disk is broken"
    theatre.kill("mysql-3", comes_back=False)
    finish(theatre, job)
    assert theatre.state is State.RUNNING
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-4"]
    assert theatre.host.manager.is_outdated()


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_donor_that_is_forgotten_is_started_again_and_the_copy_begins_anew(
    theatre: Theatre, is_killed: bool
) -> None:
    theatre.start(glb=1)
    assert theatre.write()
    job = begin(theatre, mysql=1)
    theatre.world.forget(theatre.address("mysql-1"))
    if is_killed:
        theatre.kill("mysql-2")
    assert not theatre.write()
    see(theatre, theatre.write)
    see(theatre, lambda: "takes queries again" in " ".join(theatre.history()))
    finish(theatre, job)
    assert theatre.primary() == ["mysql-1", "mysql-2"]


def test_a_forgotten_donor_among_others_joins_them_again(theatre: Theatre) -> None:
    theatre.start(mysql=3)
    theatre.world.forget(theatre.address("mysql-2"))
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    assert all(theatre.world.takes_queries(theatre.address(f"mysql-{n}")) for n in (1, 2, 3))


def lose_member(theatre: Theatre) -> None:
    theatre.break_machines("mysql-2")


def lose_donor(theatre: Theatre) -> None:
    theatre.break_machines("mysql-1")


def kill_all(theatre: Theatre) -> None:
    theatre.kill("mysql-1", "mysql-2", comes_back=False)


def lose_all(theatre: Theatre) -> None:
    theatre.break_machines("mysql-1", "mysql-2")


def lose_balancer(theatre: Theatre) -> None:
    node = next(n for n in theatre.user.list_nodes() if n.role == "glb")
    theatre.cluster.cut(theatre.machine(node.agent_id))


@pytest.mark.parametrize("fault", [kill_all, lose_all])
def test_the_manager_dies_too(
    theatre: Theatre, stage: Any, fault: Callable[[Theatre], None]
) -> None:
    theatre.start(mysql=2, glb=1)
    die_too(theatre, stage, fault, (6,))


@pytest.mark.long
@pytest.mark.parametrize("fault", [lose_member, lose_donor, kill_all, lose_all, lose_balancer])
def test_the_manager_dies_too_at_any_step(
    theatre: Theatre, stage: Any, fault: Callable[[Theatre], None]
) -> None:
    theatre.start(mysql=2, glb=1)
    die_too(theatre, stage, fault, (1, 6, 11))


def die_too(
    theatre: Theatre, stage: Any, fault: Callable[[Theatre], None], steps: Sequence[int]
) -> None:
    """Have a fault happen while a database joins, and the manager die at steps after it."""
    for step in steps:
        theatre.write()
        begin(theatre, mysql=1)
        at = len(stage.events) + step
        fault(theatre)
        died: list[int] = []

        def die(number: int, at: int = at, died: list[int] = died) -> None:
            if number >= at and not died:
                died.append(number)
                theatre.cluster.restart(theatre.managers_machine)

        stage.before = die
        see(theatre, theatre.write)
        stage.before = lambda number: None
        see(theatre, theatre.write)
        theatre.world.finish_copies()
        theatre.idle()
        theatre.settle()
        assert theatre.state is State.RUNNING
        there = ["mysql-1", "mysql-2", "mysql-3"]
        if fault is lose_all and len(theatre.roles()) == 3:
            # Who has nobody to join may be given back again: that is no loss.
            there.remove("mysql-3")
        assert theatre.primary() == there
        assert sorted(theatre.roles().values()) == ["glb", *["mysql"] * len(there)]
        assert len(theatre.cluster.provider.machines) == 2 + len(there)
        if len(there) == 3:
            theatre.remove(mysql=1)
        theatre.settle()
        assert theatre.volumes() == ["mysql-1-1", "mysql-1-2"]
        if not died:
            return


def test_databases_that_are_all_lost_since_one_looked_are_waited_for(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.write()
    manager = theatre.host.manager
    seen = manager.databases
    theatre.break_machines("mysql-1", "mysql-2")
    for node in seen:
        theatre.manager.lose(node, "its machine is gone")
    with pytest.raises(BusyError, match="all databases were lost just now"):
        list(manager.have_primary(seen, ()))
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
