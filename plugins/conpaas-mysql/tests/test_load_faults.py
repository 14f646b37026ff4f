"""A machine dies while a dump is loaded: others are replaced beside it, its own one ends it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from conpaas.errors import AgentError, BusyError, TooLargeError
from conpaas.rpc import JobState, Upload
from conpaas.state import State
from conpaas_mysql.parts import USER
from conpaas_mysql.theatre import Theatre

LOAD = "load_dump"
DUMP = "".join(f"INSERT INTO cake VALUES ({number});\n" for number in range(5))
BEGINNING = DUMP[: DUMP.index("\n") + 1]


def begin(theatre: Theatre, **counts: int) -> tuple[Any, str]:
    """Begin to load a dump; return the job, and the name of the database that is at it."""
    theatre.start(**counts)
    theatre.write()
    theatre.stage.lasting.add(LOAD)
    job = theatre.user.load_dump(filename=Upload(io.BytesIO(DUMP.encode()), "a.sql", len(DUMP)))
    theatre.cluster.wait(lambda: theatre.stage.loaded == BEGINNING, 60)
    found = [who for who, did, _ in theatre.stage.events if did == LOAD]
    return job, next(s.name for s in theatre.world.servers.values() if s.address == found[0])


def see(theatre: Theatre, until: Callable[[], Any]) -> None:
    """Have the manager look at its nodes, as it does all the time, until something is true."""

    def is_true() -> bool:
        theatre.cluster.look()
        return bool(until())

    theatre.cluster.wait(is_true, 60)


def end(theatre: Theatre, job: Any) -> Any:
    """Have the load last no longer; return what comes of it."""
    theatre.stage.lasting.discard(LOAD)
    return theatre.cluster.run(job)


def check(theatre: Theatre, databases: int) -> None:
    """Make sure that the service runs, on as many nodes as it had."""
    theatre.idle()
    theatre.settle()
    assert theatre.state is State.RUNNING, theatre.history()[-1]
    assert theatre.primary() == [f"mysql-{number + 1}" for number in range(databases)]
    assert theatre.write()
    assert [len(part.servers) for _, part, _ in theatre.stage.balancers()] == [databases]
    assert len(theatre.cluster.provider.machines) == 2 + databases


def balancers(theatre: Theatre) -> list[str]:
    """Return the nodes of the balancers."""
    return [name for name, role in theatre.roles().items() if role == "glb"]


def test_the_only_balancer_is_replaced_while_a_dump_is_loaded(theatre: Theatre) -> None:
    job, _ = begin(theatre, mysql=3, glb=1)
    address, lost = theatre.user.get_address().host, balancers(theatre)
    theatre.break_balancer()
    assert theatre.stage.balancers() == []
    see(theatre, lambda: theatre.stage.balancers() and not set(balancers(theatre)) & set(lost))
    assert theatre.user.get_address().host == address
    assert theatre.stage.loaded == BEGINNING  # it is at it yet
    with pytest.raises(BusyError, match=r"load_dump \(job"):
        theatre.user.add_nodes(nodes={"mysql": 1})
    assert end(theatre, job).size == len(DUMP)
    assert theatre.stage.loaded == DUMP
    assert [did for _, did, _ in theatre.stage.events].count(LOAD) == 1
    check(theatre, 3)


def test_another_database_is_replaced_while_a_dump_is_loaded(theatre: Theatre) -> None:
    job, name = begin(theatre, mysql=3, glb=1)
    other = next(one for one in ("mysql-1", "mysql-2", "mysql-3") if one != name)
    theatre.break_machines(other)
    see(theatre, lambda: len(theatre.primary()) == 3)
    assert theatre.stage.loaded == BEGINNING
    assert end(theatre, job).size == len(DUMP)
    assert theatre.stage.loaded == DUMP
    check(theatre, 3)


@pytest.mark.parametrize("databases", [1, 3])
def test_a_load_ends_with_its_node_which_is_replaced_then(
    theatre: Theatre, databases: int
) -> None:
    job, name = begin(theatre, mysql=databases, glb=1)
    theatre.break_machines(name)
    machines = len(theatre.cluster.provider.machines)
    held = theatre.hold_machines()
    running = theatre.manager.runner.latest(1)[0].id
    see(theatre, lambda: theatre.manager.runner.report(running).state is JobState.FAILED)
    with pytest.raises(AgentError) as failed:
        theatre.cluster.run(job)
    # What takes its node's place has not come yet.
    assert len(theatre.cluster.provider.machines) <= machines + 1
    held.may_boot.set()
    words = str(failed.value)
    assert words.startswith("a.sql: node-")
    assert "was lost while it loaded the dump (the machine of node-" in words
    assert "stays: statements from the beginning of the dump on" in words
    see(theatre, lambda: len(theatre.primary()) == databases)
    assert [did for _, did, _ in theatre.stage.events].count(LOAD) == 1
    check(theatre, databases)


def test_a_manager_that_dies_while_a_node_is_replaced_beside_a_load_comes_to_an_end_with_it(
    theatre: Theatre,
) -> None:
    job, _ = begin(theatre, mysql=3, glb=1)
    address = theatre.user.get_address().host
    held = theatre.hold_machines()
    theatre.break_balancer()
    see(theatre, held.asked.is_set)
    theatre.cluster.restart(theatre.managers_machine)
    held.may_boot.set()
    with pytest.raises(AgentError, match=r"interrupted by a restart.* stays: statements from"):
        theatre.cluster.run(job)
    theatre.stage.lasting.clear()
    assert not any(agent._working for agent in theatre.agents())
    assert theatre.stage.loaded == BEGINNING
    assert theatre.user.get_address().host == address
    check(theatre, 3)


def test_a_stop_ends_a_load_and_the_replacement_beside_it(theatre: Theatre) -> None:
    job, _ = begin(theatre, mysql=3, glb=1)
    theatre.break_balancer()
    see(theatre, lambda: any("glb-1" in line and "is lost" in line for line in theatre.history()))
    theatre.run(theatre.user.stop())
    with pytest.raises(BusyError, match="cancelled"):
        theatre.cluster.run(job)
    assert theatre.stage.loaded == BEGINNING
    assert len(theatre.cluster.provider.machines) == 1
    theatre.stage.lasting.clear()
    theatre.run(theatre.user.start())
    check(theatre, 3)


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("my shop.sql", b"SELECT 1;", "{client} < 'my shop.sql'"),
        ("shop.sql.gz", b"\x1f\x8b", "gunzip < shop.sql.gz | {client}"),
    ],
)
def test_a_dump_that_is_too_large_is_refused_with_the_command_that_loads_it(
    theatre: Theatre, name: str, content: bytes, form: str
) -> None:
    theatre.start()
    address = theatre.user.get_address()
    client = f"mysql -h {address.host} -P 3306 -u {USER} -p"
    assert client == address.command
    upload = Upload(io.BytesIO(content), name, (4096 << 20) + 1)
    with pytest.raises(TooLargeError) as refused:
        theatre.host.manager.load_dump(filename=upload).send(None)
    assert str(refused.value) == (
        f"{name} has more than the 4096 MB that are allowed: set another limit "
        "(set_mysql_config --dump_limit), load it in parts, or have a client load it "
        f"({form.format(client=client)})"
    )
