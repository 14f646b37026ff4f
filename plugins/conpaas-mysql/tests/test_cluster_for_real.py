"""One story of a real cluster in this process: real MariaDB, Galera and haproxy on 127.x."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from conpaas.plugins import Plugins
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas.testing.loopback import loopback_network
from conpaas.testing.waiting import eventually
from conpaas_mysql.testing import freeze, sends_rsync, thaw

PASSWORD = "Correct-Horse-7"


class Real:
    """A MySQL service on a cluster, and short ways to use it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.aid = cluster.application()
        self.user: Any = cluster.service("mysql", self.aid)

    def run(self, job: Any) -> None:
        self.cluster.run(job)
        self.idle()

    def idle(self) -> None:
        runner = self.cluster.manager(self.aid).runner
        try:
            self.cluster.wait(lambda: not runner.busy("service 1"), 240)
        except TimeoutError:
            pytest.fail(f"a job does not end: {runner.latest(1)[0].message}")

    def query(self, sql: str, host: str = "") -> list[Any]:
        """Run a statement as the user, at the service's address or at one database."""
        with (
            pymysql.connect(
                host=host or self.user.get_address().host, user="mysqldb", password=PASSWORD,
                autocommit=True, connect_timeout=5, read_timeout=30,
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute(sql)
            return list(cursor.fetchall())

    def insert(self, number: int) -> None:
        """Have a number in the table, as a program that tries again does it.

        A balancer may notice a killed server when that is back already, and then cuts connections.
        """

        def inserted() -> bool:
            try:
                self.query(f"INSERT IGNORE INTO blog.t VALUES ({number})")
            except pymysql.OperationalError:
                return False
            return True

        eventually(inserted, 10)

    def rows(self) -> list[list[int]]:
        """Return what each database has."""
        nodes = [n for n in self.user.list_nodes() if n.role == "mysql"]
        return [[row[0] for row in self.query("SELECT n FROM blog.t", n.ip)] for n in nodes]

    def look_until(self, until: Any) -> None:
        """Have the manager look every now and then until something is so."""

        def looked() -> bool:
            self.cluster.sample()
            self.cluster.look()
            self.idle()
            return bool(until())

        self.cluster.wait(looked, 180)

    def history(self) -> str:
        return "\n".join(change.reason for change in self.user.get_history())


@pytest.fixture
def real() -> Iterator[Real]:
    with Cluster(Plugins.installed(only=["mysql"]), subnet=loopback_network()) as cluster:
        yield Real(cluster)


@pytest.mark.long
def test_a_real_cluster_loses_a_server_and_a_machine_and_is_stopped_and_started(
    real: Real,
) -> None:
    real.run(real.user.start())
    real.user.set_password(password=PASSWORD)
    real.query("CREATE DATABASE blog")
    real.query("CREATE TABLE blog.t (n INT PRIMARY KEY)")
    real.query("INSERT INTO blog.t VALUES (1)")
    real.run(real.user.add_nodes(nodes={"mysql": 1, "glb": 1}))
    assert real.rows() == [[1], [1]]

    (second,) = [
        agent for agent in real.cluster.agents(real.aid, 1)
        if agent.agent.store.get("database", {}).get("name") == "mysql-2"
    ]  # fmt: skip
    real.cluster.sample()
    os.kill(second.agent.database.pid, signal.SIGKILL)
    real.look_until(lambda: "mysql-2" in real.history())
    assert "had stopped: it has rejoined" in real.history()
    real.insert(2)
    assert real.rows() == [[1, 2], [1, 2]]

    machine = next(i for i, m in real.cluster.machines.items() if m.agent is second)
    os.kill(second.agent.database.pid, signal.SIGKILL)  # a machine does not say that it dies
    real.cluster.provider.vanish(machine)
    real.look_until(lambda: "is back, on node-" in real.history())
    assert "had lost mysql-2: it takes queries again" in real.history()
    real.insert(3)
    assert real.rows() == [[1, 2, 3], [1, 2, 3]]

    real.run(real.user.set_mysql_config(innodb_buffer_pool_size="96M"))
    assert real.query("SELECT @@innodb_buffer_pool_size") == [(96 << 20,)]

    real.run(real.user.stop())
    real.run(real.user.start())
    assert real.cluster.state(real.aid, 1) is State.RUNNING
    assert real.rows() == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.long
def test_the_only_database_is_killed_in_the_middle_of_the_copy_that_it_gives(real: Real) -> None:
    real.run(real.user.start())
    real.user.set_password(password=PASSWORD)
    real.query("CREATE DATABASE blog")
    real.query("CREATE TABLE blog.t (n INT PRIMARY KEY)")
    real.query("INSERT INTO blog.t VALUES (1)")
    (first,) = real.cluster.agents(real.aid, 1)
    database = first.agent.database
    job = real.user.add_nodes(nodes={"mysql": 1})
    frozen = freeze(sends_rsync(database.directories.volume))
    os.kill(database.pid, signal.SIGKILL)
    thaw(frozen)
    real.run(job)
    assert real.rows() == [[1], [1]]
    assert "no database took queries any more: mysql-1" in real.history()
