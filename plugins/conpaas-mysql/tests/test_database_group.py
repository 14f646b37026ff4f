"""Databases together: how they join, are killed, lose each other and find together again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from conpaas.errors import AgentError
from conpaas_mysql import waiting
from conpaas_mysql.mariadb import NAME
from conpaas_mysql.secrets import new_secrets
from conpaas_mysql.testing import Databases, Node, eventually, in_parallel


@pytest.fixture(scope="module")
def trio(place: Path) -> Iterator[Databases]:
    """Three members that are whole when a test begins."""
    # Patient: on a busy machine, one that is slow shall not pass for one that is gone.
    patient = {"evs.suspect_timeout": "PT5S", "evs.inactive_timeout": "PT15S"}
    databases = Databases(place, settings=patient)
    databases.grow()
    databases.nodes[0].rows("CREATE DATABASE shop")
    databases.nodes[0].rows("CREATE TABLE shop.things (id INT PRIMARY KEY)")
    databases.grow(2)
    yield databases
    databases.close()


def nodes_of(trio: Databases) -> tuple[Node, Node, Node]:
    """Have all three be members, and the table empty."""
    first, second, third = trio.nodes
    for node in trio.nodes:
        eventually(lambda node=node: is_whole(node), 60)
    first.rows("DELETE FROM shop.things")
    return first, second, third


def is_whole(node: Node) -> bool:
    status = node.status()
    return status.ready and status.state == 4 and len(status.members) == 3


def ids(node: Node) -> list[int]:
    with node.sql() as connection:
        connection.run("SET wsrep_sync_wait = 1")
        return [row[0] for row in connection.rows("SELECT id FROM shop.things ORDER BY id")]


def test_members_know_each_other_and_what_one_is_told_all_know(trio: Databases) -> None:
    nodes = nodes_of(trio)
    for number, node in enumerate(nodes):
        node.rows(f"INSERT INTO shop.things VALUES ({number})")
    assert [ids(node) for node in nodes] == [[0, 1, 2]] * 3
    told = [node.status() for node in nodes]
    assert {s.members for s in told} == {("mysql-1", "mysql-2", "mysql-3")}
    assert len({s.cluster for s in told}) == 1
    # Whoever joins again is a member at once.
    nodes[1].join()


@pytest.mark.long
def test_a_killed_member_gets_what_it_missed_and_no_more(trio: Databases) -> None:
    first, second, third = nodes_of(trio)
    second.kill(stay_down=True)
    eventually(lambda: first.status().members == ("mysql-1", "mysql-3"))
    for number in range(20):
        first.rows(f"INSERT INTO shop.things VALUES ({number})")
    begun = second.agent.database.log.stat().st_size
    second.join()
    assert ids(second) == list(range(20))
    said = second.agent.database.log.read_bytes()[begun:].decode()
    assert "rsync IST completed on joiner" in said
    assert is_whole(first) and is_whole(third)


def test_writes_go_on_while_a_member_is_killed_and_comes_back_by_itself(trio: Databases) -> None:
    first, _, third = nodes_of(trio)
    done: list[int] = []
    failed: list[Exception] = []
    end = threading.Event()

    def write() -> None:
        with first.sql() as connection:
            while not end.is_set():
                try:
                    connection.run("INSERT INTO shop.things VALUES (%s)", (len(done),))
                    done.append(len(done))
                except pymysql.Error as error:
                    failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(done) > 5)
    pid = third.supervisor.pid(NAME)
    third.kill()
    eventually(lambda: third.supervisor.pid(NAME) not in (None, pid))
    eventually(lambda: is_whole(third), 60)
    end.set()
    writer.join()
    assert not failed and len(done) > 5
    assert ids(third) == done


def test_the_survivor_of_two_refuses_queries_until_it_is_told_to_go_on_alone(
    trio: Databases,
) -> None:
    first, second, third = nodes_of(trio)
    third.stop()
    eventually(lambda: first.status().members == ("mysql-1", "mysql-2"))
    assert first.status().ready  # who leaves in order leaves no doubt
    first.rows("INSERT INTO shop.things VALUES (1)")
    second.kill(stay_down=True)
    eventually(lambda: not first.status().is_primary)
    status = first.status()
    assert status.is_running and not status.ready and status.members == ("mysql-1",)
    assert "lost most of the cluster" in status.trouble and status.position > 0
    with pytest.raises(pymysql.err.OperationalError) as refused:
        first.rows("INSERT INTO shop.things VALUES (2)")
    assert refused.value.args[0] == 1047

    begun = time.monotonic()
    first.promote()
    assert time.monotonic() - begun < 10
    first.promote()
    first.rows("INSERT INTO shop.things VALUES (2)")
    assert first.status().trouble == ""
    second.join()
    third.join()
    assert ids(second) == ids(third) == [1, 2]


def test_all_that_are_killed_at_once_find_together_by_themselves(trio: Databases) -> None:
    nodes = nodes_of(trio)
    nodes[0].rows("INSERT INTO shop.things VALUES (7)")
    eventually(lambda: ids(nodes[2]) == [7])
    old = [node.supervisor.pid(NAME) for node in nodes]
    for node in nodes:
        node.kill()
    eventually(lambda: not set(old) & {node.supervisor.pid(NAME) for node in nodes})
    for node in nodes:
        eventually(lambda node=node: is_whole(node), 90)
    assert [ids(node) for node in nodes] == [[7]] * 3


@pytest.mark.long
def test_without_their_records_the_one_that_has_most_begins_and_the_others_join(
    trio: Databases,
) -> None:
    nodes = nodes_of(trio)
    nodes[2].kill(stay_down=True)
    eventually(lambda: len(nodes[0].status().members) == 2)
    nodes[0].rows("INSERT INTO shop.things VALUES (8)")
    eventually(lambda: ids(nodes[1]) == [8])
    cluster = nodes[0].status().cluster
    for node in nodes[:2]:
        node.kill(stay_down=True)
    for node in nodes:
        (node.volume / "data/gvwstate.dat").unlink()
    positions = [node.agent.recover_position() for node in nodes]
    assert {p.cluster for p in positions} == {cluster}
    assert positions[0].number == positions[1].number > positions[2].number
    assert not any(p.was_last for p in positions)
    nodes[0].bootstrap()
    in_parallel(nodes[1].join, nodes[2].join)
    assert [ids(node) for node in nodes] == [[8]] * 3


@pytest.mark.long
def test_the_last_one_that_left_in_order_knows_it(trio: Databases) -> None:
    nodes = nodes_of(trio)
    for node in nodes:
        node.stop()
    assert [node.agent.recover_position().was_last for node in nodes] == [False, False, True]
    # Alone it waits for nobody, but it begins only when it is told to.
    nodes[2].bootstrap()
    in_parallel(nodes[0].join, nodes[1].join)


@pytest.mark.long
def test_a_member_that_waits_for_others_tells_no_position(trio: Databases) -> None:
    nodes = nodes_of(trio)
    for node in nodes:
        node.stop()
    nodes[0].agent.database.start()
    until = time.monotonic() + 6
    while time.monotonic() < until:
        status = nodes[0].status()
        assert not status.is_primary and not status.ready and status.position == -1
        time.sleep(0.2)
    begun = time.monotonic()
    nodes[0].stop()
    assert time.monotonic() - begun < 10
    nodes[2].bootstrap()
    in_parallel(nodes[0].join, nodes[1].join)


def test_who_has_another_clusters_certificate_does_not_get_in(trio: Databases) -> None:
    first, _, _ = nodes_of(trio)
    stranger = trio.machine()
    trio.nodes.remove(stranger)
    part = trio.part(stranger, [*trio.nodes, stranger])
    stranger.agent.configure_database(part, new_secrets("stranger"))
    stranger.agent.database.start()
    try:
        eventually(lambda: "certificate verify failed" in stranger.agent.database.last_words(60))
        assert is_whole(first) and not stranger.status().has_data
    finally:
        stranger.kill(stay_down=True)
        stranger.supervisor.shutdown()


def test_an_agent_that_dies_while_its_database_joins_does_not_disturb_it(trio: Databases) -> None:
    first, second, _ = nodes_of(trio)
    second.stop()
    first.rows("INSERT INTO shop.things VALUES (9)")
    list(itertools.islice(second.agent.join_database(), 2))
    second.start_agent()
    second.agent.on_boot()
    eventually(lambda: is_whole(second), 60)
    second.join()
    assert ids(second) == [9]


def test_joining_where_nobody_is_ends_with_the_last_words(databases: Databases) -> None:
    first, second = databases.machine(), databases.machine()
    databases.configure()
    job = waiting.until_synced(second.agent.database, patience=1.0)
    second.agent.database.start()
    with pytest.raises(AgentError, match="does not get on; its last words"):
        list(job)
    assert first.status().trouble == ""
