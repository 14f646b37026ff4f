"""What real databases measure of themselves."""

from __future__ import annotations

import shutil
import threading
import time
from typing import Any

import pytest

from conpaas_mysql.client import session
from conpaas_mysql.testing import Databases, Node, eventually


def figures(node: Node) -> dict[tuple[str, ...], float]:
    """Return what a node measures, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in node.agent.collect()
        for sample in family.samples
    }


@pytest.fixture
def node(databases: Databases) -> Node:
    """A cluster of one database."""
    return databases.grow(1)[0]


def test_statements_are_counted_by_type(node: Node) -> None:
    with node.sql() as connection:
        connection.run("CREATE DATABASE shop")
        connection.run("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)")
        before = figures(node)
        connection.run("INSERT INTO shop.t VALUES (1, 0)")
        connection.run("REPLACE INTO shop.t VALUES (2, 0)")
        connection.run("INSERT INTO shop.t SELECT id + 10, n FROM shop.t")
        for _ in range(4):
            connection.run("UPDATE shop.t SET n = n + 1")
        connection.run("DELETE FROM shop.t WHERE id = 1")
        connection.rows("SELECT * FROM shop.t")
        after = figures(node)
    name = "conpaas_mysql_statements_total"
    risen = {kind: after[name, kind] - before[name, kind] for _, kind in _of(after, name)}
    assert risen == {"select": 1, "insert": 3, "update": 4, "delete": 1}
    assert after["conpaas_mysql_questions_total",] - before["conpaas_mysql_questions_total",] >= 9


def _of(found: dict[tuple[str, ...], float], name: str) -> list[tuple[str, str]]:
    return [(key[0], key[1]) for key in found if key[0] == name]


def test_a_healthy_database_is_synced_and_tells_its_connections_and_its_volume(
    node: Node,
) -> None:
    before = figures(node)
    assert before["conpaas_galera_primary",] == 1
    assert before["conpaas_galera_local_state",] == 4
    assert before["conpaas_galera_cluster_size",] == 1
    assert before["conpaas_mysql_connections_limit",] == 40
    with node.sql(), node.sql(), node.sql():
        more = figures(node)["conpaas_mysql_connections",] - before["conpaas_mysql_connections",]
        assert more == 3
    disk = shutil.disk_usage(node.volume)
    assert abs(before["conpaas_mysql_volume_bytes", "used"] - disk.used) < 0.2 * disk.total
    assert before["conpaas_mysql_volume_bytes", "free"] > 0


def test_a_database_that_does_not_run_takes_no_queries_and_its_volume_is_told_of(
    node: Node,
) -> None:
    node.stop()
    found = figures(node)
    assert found["conpaas_galera_primary",] == 0
    assert found["conpaas_galera_local_state",] == 0
    assert found["conpaas_mysql_volume_bytes", "used"] > 0
    assert not any("statements" in name or "started" in name for name, *_ in found)


def test_a_database_that_hangs_is_told_of_before_long(node: Node) -> None:
    node.supervisor.signal("mariadb", "STOP")
    try:
        assert figures(node)["conpaas_galera_primary",] == 0
    finally:
        node.supervisor.signal("mariadb", "CONT")
    eventually(lambda: figures(node)["conpaas_galera_primary",] == 1)


def test_a_database_that_is_locked_for_a_copy_still_tells_its_figures(node: Node) -> None:
    with node.sql() as connection:
        connection.run("FLUSH TABLES WITH READ LOCK")
        assert figures(node)["conpaas_galera_primary",] == 1
        assert figures(node)["conpaas_mysql_questions_total",] > 0


def test_when_a_database_was_started_is_the_same_until_it_is_killed(node: Node) -> None:
    first = figures(node)["conpaas_mysql_started_seconds",]
    assert figures(node)["conpaas_mysql_started_seconds",] == first
    node.start_agent()
    assert figures(node)["conpaas_mysql_started_seconds",] == first
    eventually(lambda: time.time() >= first + 1)  # it is told in whole seconds
    node.kill()
    eventually(lambda: figures(node).get(("conpaas_mysql_started_seconds",), first) > first)


def test_a_node_that_was_told_nothing_measures_its_machine_only(databases: Databases) -> None:
    names = {name for name, *_ in figures(databases.machine())}
    assert "conpaas_node_cpus" in names
    assert not any(name.startswith(("conpaas_mysql", "conpaas_galera")) for name in names)


def test_the_queue_is_the_mean_since_the_last_reading_and_conflicts_are_counted(
    databases: Databases,
) -> None:
    first, second = databases.grow(2)
    with first.sql() as connection:
        connection.run("CREATE DATABASE shop")
        connection.run("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)")
        connection.run("INSERT INTO shop.t VALUES (1, 0)")
    figures(second)

    def write() -> None:
        with first.sql() as connection:
            for number in range(300):
                connection.run("INSERT INTO shop.t VALUES (%s, 0)", (number + 100,))

    # A member that applies nothing for a while: what the others write waits.
    with second.sql() as connection:
        connection.run("SET GLOBAL wsrep_desync = ON")
        connection.run("FLUSH LOCAL TABLES WITH READ LOCK")
        write()
        connection.run("UNLOCK TABLES")
        connection.run("SET GLOBAL wsrep_desync = OFF")
    eventually(lambda: second.status().state == 4)
    assert figures(second)["conpaas_galera_receive_queue",] > 5
    assert figures(second)["conpaas_galera_receive_queue",] < 1, "that is over"

    def conflicts() -> float:
        name = "conpaas_mysql_conflicts_total"
        return sum(v for n in (first, second) for key, v in figures(n).items() if key[0] == name)

    before = conflicts()
    failed: list[Any] = []

    def fight(node: Node) -> None:
        import pymysql

        socket = node.root / "run/conpaas-mysql/server/mysqld.sock"
        with session(socket, seconds=20.0) as connection:
            for _ in range(300):
                try:
                    connection.run("UPDATE shop.t SET n = n + 1 WHERE id = 1")
                except pymysql.OperationalError as error:
                    failed.append(error.args[0])

    threads = [threading.Thread(target=fight, args=(node,)) for node in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(failed) == {1213}
    assert conflicts() - before > 0
