"""The balancer with a real haproxy, before databases that only say who they are."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.rpc import finish
from conpaas_mysql.balancer_testing import BalancerNode, Crowd, FakeDatabase
from conpaas_mysql.haproxy import MOST_CONNECTIONS, Haproxy
from conpaas_mysql.parts import MYSQL_PORT, BalancerPart, Member
from conpaas_mysql.testing import eventually


@pytest.fixture
def databases() -> Iterator[list[FakeDatabase]]:
    """Three databases."""
    made = [FakeDatabase(f"mysql-{number}") for number in (1, 2, 3)]
    yield made
    for database in made:
        database.close()


@pytest.fixture
def node() -> Iterator[BalancerNode]:
    """A machine on which no balancer runs yet."""
    with tempfile.TemporaryDirectory(prefix="conpaas-test-") as name:
        Path(name).chmod(0o755)
        node = BalancerNode(Path(name))
        yield node
        node.close()


def test_connections_are_shared_out_among_the_databases(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    assert node.run(*databases)
    clients = [node.client() for _ in range(6)]
    assert Counter(client.server for client in clients) == {d.name: 2 for d in databases}
    status = node.agent.get_balancer_status()
    assert status.is_running
    assert status.connections == 6
    assert [(s.name, s.address, s.is_up, s.connections) for s in status.servers] == [
        (d.name, d.address, True, 2) for d in databases
    ]


def test_the_same_part_again_is_no_news_and_touches_nothing(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    pid, client = node.pid, node.client()
    assert not node.run(*databases)
    assert node.pid == pid
    assert client.is_alive()


def test_a_database_that_joins_gets_connections_and_none_of_the_others_is_cut(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, third = databases
    node.run(first)
    pid, client, crowd = node.pid, node.client(), Crowd(node.address)
    assert node.run(first, second)
    assert node.run(first, second, third)
    eventually(lambda: crowd.answers[second.name] > 30 and crowd.answers[third.name] > 30)
    crowd.end()
    assert crowd.failures == []
    assert client.is_alive()
    assert node.pid == pid


def test_a_database_that_is_not_ready_yet_gets_connections_once_it_is(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, _ = databases
    node.run(first)
    second.is_healthy = False
    node.run(first, second)
    assert {node.client().server for _ in range(6)} == {first.name}
    assert not node.servers()[second.name].is_up
    second.is_healthy = True
    eventually(lambda: node.servers()[second.name].is_up)
    assert {node.client().server for _ in range(6)} == {second.name}, "it has the fewest"


def test_a_database_is_drained_stopped_and_taken_out_without_a_failed_question(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, third = databases
    node.run(*databases)
    pid, crowd = node.pid, Crowd(node.address)
    eventually(lambda: crowd.answers[third.name] > 10)
    assert node.drain(third) == 0
    third.stop()
    assert node.run(first, second)
    third.start()
    assert node.run(first, second, third)
    before = crowd.answers[third.name]
    eventually(lambda: crowd.answers[third.name] > before + 10)
    crowd.end()
    assert crowd.failures == []
    assert node.pid == pid


def test_draining_waits_for_connections_and_tells_how_many_are_left(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(databases[0])
    client = node.client()
    job = node.agent.drain_server("mysql-1", 20)
    assert next(job).message == "mysql-1 gets no new connections"
    assert next(job).message == "mysql-1 has 1 connections left"
    assert client.is_alive()
    threading.Timer(0.3, client.close).start()
    assert finish(job) == 0


def test_what_has_not_ended_in_time_is_cut_and_counted(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    clients = [node.client() for _ in range(6)]
    assert node.drain(databases[1], seconds=0) == 2
    assert {client.server for client in clients if not client.is_alive()} == {"mysql-2"}
    assert sum(client.is_alive() for client in clients) == 4


def test_a_drained_database_stays_so_when_agent_and_balancer_are_killed(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    node.drain(databases[1])
    node.kill()
    assert {node.client().server for _ in range(9)} == {"mysql-1", "mysql-3"}
    node.start_agent().on_boot()
    assert {node.client().server for _ in range(9)} == {"mysql-1", "mysql-3"}
    assert node.servers()["mysql-2"].is_drained
    node.run(*databases)
    assert "mysql-2" in {node.client().server for _ in range(9)}


def test_to_drain_what_is_not_known_is_fine(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    assert finish(node.agent.drain_server("mysql-1", 5)) == 0
    node.run(databases[0])
    assert finish(node.agent.drain_server("mysql-7", 5)) == 0


def test_a_database_that_says_it_takes_no_queries_loses_its_connections_at_once(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    clients = [node.client() for _ in range(6)]
    databases[0].is_healthy = False
    eventually(lambda: not node.servers()["mysql-1"].is_up)
    assert Counter(c.server for c in clients if c.is_alive()) == {"mysql-2": 2, "mysql-3": 2}
    assert {node.client().server for _ in range(6)} == {"mysql-2", "mysql-3"}


@pytest.mark.parametrize("single", [False, True])
def test_a_database_that_stands_still_for_a_copy_keeps_its_connections_and_gets_no_new_ones(
    node: BalancerNode, databases: list[FakeDatabase], single: bool
) -> None:
    node.run(*databases, single=single)
    client = next(c for c in (node.client() for _ in range(9)) if c.server == "mysql-1")
    databases[0].stands_still = True
    eventually(lambda: not node.servers()["mysql-1"].is_up)
    assert "mysql-1" not in {node.client().server for _ in range(6)}
    databases[0].stands_still = False
    eventually(lambda: node.servers()["mysql-1"].is_up)
    assert client.is_alive()


def test_new_connections_pass_by_a_database_that_has_just_died(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    databases[2].stop()
    assert {node.client().server for _ in range(9)} == {"mysql-1", "mysql-2"}


@pytest.mark.parametrize("single", [False, True])
def test_new_connections_pass_by_a_machine_that_has_just_vanished(
    node: BalancerNode, databases: list[FakeDatabase], single: bool
) -> None:
    node.run(*databases, single=single)
    # Until it was checked it is believed to be well, and no longer when it fails the first time.
    eventually(lambda: databases[0].checks > 2)
    databases[0].vanish()
    assert all(server.is_up for server in node.servers().values()), "it is not noticed yet"
    with ThreadPoolExecutor(8) as visitors:
        begun = time.monotonic()
        found = list(visitors.map(lambda _: node.client().server, range(8)))
        took = time.monotonic() - begun
    assert "mysql-1" not in found
    assert took < 3, "a visitor does not wait for the dead"


def test_a_killed_balancer_comes_back_with_what_it_was_told_last(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, third = databases
    node.run(first, third, single=True)
    node.run(second, third, connections=50)
    client = node.client()
    node.kill()
    assert not client.is_alive()
    assert Counter(node.client().server for _ in range(6)) == {"mysql-2": 3, "mysql-3": 3}
    assert not node.run(second, third, connections=50)


def test_a_part_that_arrives_while_the_balancer_is_killed_is_carried_out(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(databases[0])
    for more in (2, 3, 1, 2):
        os.kill(node.pid, signal.SIGKILL)
        node.run(*databases[:more])
        assert sorted(node.servers()) == [d.name for d in databases[:more]]


def test_an_agent_that_comes_back_has_the_balancer_run_again(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    node.supervisor.remove("balancer")  # a new machine's disk image, say
    node.start_agent().on_boot()
    assert node.client().server in {d.name for d in databases}


def test_a_replacement_at_another_address_takes_the_place_of_the_lost_one(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, _ = databases
    node.run(first, second)
    client = next(c for c in (node.client(), node.client()) if c.server == "mysql-1")
    second.close()
    other = FakeDatabase("mysql-2")
    node.run(first, other)
    assert client.is_alive()
    assert node.servers()["mysql-2"].address == other.address
    assert {node.client().server for _ in range(6)} == {"mysql-1", "mysql-2"}
    other.close()


def test_a_single_writer_is_the_first_that_is_healthy_whatever_order_they_came_in(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    first, second, third = databases
    node.run(second, third, single=True)
    assert {node.client().server for _ in range(6)} == {"mysql-2"}
    node.run(first, second, third, single=True)
    assert {node.client().server for _ in range(6)} == {"mysql-1"}
    databases[0].is_healthy = False
    eventually(lambda: not node.servers()["mysql-1"].is_up)
    stay = node.client()
    assert stay.server == "mysql-2"
    # When the first one is back, it gets what is new; nobody is torn away from the second.
    databases[0].is_healthy = True
    eventually(lambda: node.servers()["mysql-1"].is_up)
    assert node.client().server == "mysql-1"
    assert stay.is_alive()


def test_single_writing_is_switched_on_and_off_without_cutting_anybody(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(*databases)
    pid, clients, crowd = node.pid, [node.client() for _ in range(3)], Crowd(node.address)
    assert node.run(*databases, single=True)
    assert {node.client().server for _ in range(6)} == {"mysql-1"}
    assert node.drain(databases[1], seconds=0) == 1, "a connection from before the switch counts"
    assert node.run(*databases)
    more = [node.client() for _ in range(12)]  # kept: each goes where the fewest are
    assert {one.server for one in more} == {"mysql-1", "mysql-2", "mysql-3"}
    crowd.end()
    assert crowd.failures == []
    assert Counter(c.is_alive() for c in clients) == {True: 2, False: 1}
    assert node.pid == pid


def test_more_connections_than_allowed_are_turned_away_and_the_number_changes_while_it_runs(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(databases[0], connections=2)
    pid, kept = node.pid, [node.client(), node.client()]
    with pytest.raises(ConnectionResetError):
        node.client()
    assert node.run(databases[0], connections=3)
    kept.append(node.client())
    with pytest.raises(ConnectionResetError):
        node.client()
    assert node.run(databases[0], connections=1)
    assert all(client.is_alive() for client in kept)
    assert node.pid == pid


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (BalancerPart((Member("a b", "127.0.0.1"),), False), "'a b' cannot name a database"),
        (BalancerPart((Member("mysql-0", "127.0.0.1"),), False), "cannot name a database"),
        (BalancerPart((Member("mysql-1\nx", "127.0.0.1"),), False), "cannot name a database"),
        (BalancerPart((Member("mysql-1", "db.example"),), False), "is no address of mysql-1"),
        (
            BalancerPart((Member("mysql-1", "127.0.0.1"), Member("sql-1", "127.0.0.2")), False),
            "two databases have the same number",
        ),
        (BalancerPart((), False, 0), f"from 1 to {MOST_CONNECTIONS} connections, not 0"),
        (BalancerPart((), False, MOST_CONNECTIONS + 1), "connections, not"),
    ],
)
def test_a_part_that_cannot_be_is_refused_and_the_old_one_stays(
    node: BalancerNode, databases: list[FakeDatabase], part: BalancerPart, says: str
) -> None:
    node.run(databases[0])
    before = node.configuration
    with pytest.raises(InvalidError, match=says):
        node.agent.run_balancer(part)
    assert node.configuration == before
    node.start_agent().on_boot()
    assert node.client().server == "mysql-1"


def test_what_haproxy_refuses_never_comes_into_force(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run(databases[0])
    before = node.configuration
    other = Haproxy(node.root, node.supervisor, "not an address")
    with pytest.raises(AgentError, match="haproxy refuses its configuration"):
        other.configure(BalancerPart((databases[0].member,), False))
    assert node.configuration == before
    assert node.client().server == "mysql-1"


def test_a_balancer_that_cannot_listen_says_why(
    node: BalancerNode, databases: list[FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conpaas_mysql.haproxy._START_WITHIN", 1.0)
    with (
        socket.create_server((node.address, MYSQL_PORT)),
        pytest.raises(AgentError, match=r"(?s)does not run with what it was told.*cannot bind"),
    ):
        node.run(databases[0])
    monkeypatch.undo()
    node.run(databases[0])  # now the port is free
    assert node.client().server == "mysql-1"


def test_a_balancer_without_databases_takes_nobody_and_one_that_leaves_is_gone(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    node.run()
    with pytest.raises(ConnectionResetError):
        node.client()
    node.run(databases[0])
    client = node.client()
    node.agent.leave_balancer()
    assert not client.is_alive()
    with pytest.raises(ConnectionRefusedError):
        node.client()
    assert not node.agent.get_balancer_status().is_running
    node.agent.leave_balancer()
    node.start_agent().on_boot()
    assert node.supervisor.names() == []


def test_a_balancer_measures_connections_and_who_is_healthy(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    assert node.figure("conpaas_glb_clients") is None
    node.run(*databases)
    kept = [node.client() for _ in range(4)]
    databases[2].is_healthy = False
    eventually(lambda: node.figure("conpaas_glb_server_up", server="mysql-3") == 0)
    there = Counter(client.server for client in kept if client.is_alive())
    for name in ("mysql-1", "mysql-2"):
        assert node.figure("conpaas_glb_connections", server=name) == there[name]
        assert node.figure("conpaas_glb_server_up", server=name) == 1
    assert node.figure("conpaas_glb_sessions_total", server="mysql-1") in (1, 2)
    node.supervisor.stop("balancer")
    assert node.figure("conpaas_glb_clients") is None
    assert node.figure("conpaas_node_cpus")


def test_what_the_balancer_says_of_the_databases_is_a_log(
    node: BalancerNode, databases: list[FakeDatabase]
) -> None:
    assert node.agent.logs() == []
    node.run(*databases)
    databases[0].is_healthy = False
    eventually(lambda: "mysql-1 is DOWN" in node.agent.get_log("balancer.log"))
