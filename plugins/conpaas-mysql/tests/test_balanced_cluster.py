"""A balancer before a real cluster: databases come, go and die while clients write and read."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from conpaas_mysql.accounts import digest, user_account
from conpaas_mysql.balancer_testing import BalancerNode
from conpaas_mysql.parts import MYSQL_PORT, USER
from conpaas_mysql.testing import Databases, eventually

PASSWORD = "not a 'secret'"
CLIENTS = 4
PAUSE = 0.05  #: seconds of a client between two connections: others want to compute as well


class Writers:
    """Clients that connect, insert a number, read it back and go, again and again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = itertools.count()
        self.written: list[int] = []
        self.failures: list[tuple[object, ...]] = []
        self.hosts: set[str] = set()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            number = next(self._numbers)
            try:
                self._write(number)
            except pymysql.MySQLError as error:
                self.failures.append(error.args)
            else:
                self.written.append(number)

    def _write(self, number: int) -> None:
        connection = pymysql.connect(
            host=self._address,
            port=MYSQL_PORT,
            user=USER,
            password=PASSWORD,
            autocommit=True,
            ssl_disabled=True,
            read_timeout=60,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.t VALUES (%s)", (number,))
            assert cursor.execute("SELECT n FROM shop.t WHERE n = %s", (number,)) == 1
            cursor.execute("SELECT @@wsrep_node_name")
            self.hosts.update(name for (name,) in cursor.fetchall())

    def go_on(self, count: int = 40) -> None:
        """Wait until so many more were written."""
        wanted = len(self.written) + count
        eventually(lambda: len(self.written) >= wanted, 60.0)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def balancer(place: Path) -> Iterator[BalancerNode]:
    """A machine for a balancer."""
    node = BalancerNode(place / "balancer")
    yield node
    node.close()


def test_databases_come_and_go_without_a_failed_query_and_a_killed_one_costs_those_in_flight(
    databases: Databases, balancer: BalancerNode
) -> None:
    first, second = databases.grow(1) + databases.grow(1)
    with first.sql() as connection:
        connection.run("SET SESSION wsrep_sync_wait = 0")
        for statement in user_account(digest(PASSWORD)):
            connection.run(statement)
        connection.run("CREATE DATABASE shop")
        connection.run("CREATE TABLE shop.t (n INT PRIMARY KEY)")
    balancer.run(first, second)
    writers = Writers(balancer.address)
    writers.go_on()

    # A third one joins; then it is one of those that are used.
    (third,) = databases.grow(1)
    balancer.run(first, second, third)
    writers.hosts.clear()
    eventually(lambda: len(writers.hosts) == 3, 60.0)

    # One leaves, and comes back.
    assert balancer.drain(second) == 0
    second.stop()
    balancer.run(first, third)
    writers.go_on()
    second.join()
    balancer.run(first, second, third)
    writers.hosts.clear()
    eventually(lambda: len(writers.hosts) == 3, 60.0)
    assert writers.failures == []

    # One is killed.
    third.kill(stay_down=True)
    eventually(lambda: not balancer.servers()["mysql-3"].is_up)
    writers.go_on()
    writers.end()
    assert len(writers.failures) <= CLIENTS
    assert {code for code, *_ in writers.failures} <= {2013, 1047}, writers.failures
    for node in (first, second):
        assert {n for (n,) in node.rows("SELECT n FROM shop.t")} >= set(writers.written)
