"""A volume that is full: the database says so, stays manageable, and goes on with more room."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pymysql
import pytest

from conpaas.errors import AgentError
from conpaas_mysql.mariadb import NAME
from conpaas_mysql.testing import Databases, Node, eventually

_INSERT = "INSERT INTO shop.things (text) VALUES (REPEAT(MD5(RAND()), 30000))"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")


def mount(node: Node, *options: str) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(node.volume)], check=True
    )


@pytest.fixture
def small(databases: Databases) -> Iterator[Node]:
    """A machine whose volume has 160 MB."""
    node = databases.machine()
    mount(node, "size=160m")
    yield node
    databases.close()
    subprocess.run(["umount", "--lazy", str(node.volume)], check=True)


def fill(node: Node) -> int:
    """Write until that fails; return how many rows were acknowledged."""
    with node.sql() as connection:
        for count in range(400):
            try:
                connection.run(_INSERT)
            except pymysql.err.MySQLError:
                return count
    raise AssertionError("the volume has more room than it should")


def with_a_table(databases: Databases, node: Node) -> None:
    databases.configure()
    node.create()
    node.rows("CREATE DATABASE shop")
    node.rows("CREATE TABLE shop.things (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT)")


def count(node: Node) -> int:
    return int(node.rows("SELECT COUNT(*) FROM shop.things")[0][0])


def test_a_full_volume_is_told_and_nothing_is_lost(databases: Databases, small: Node) -> None:
    with_a_table(databases, small)
    acknowledged = fill(small)
    # InnoDB may end when it has no room in the middle of a row; it is back with what was kept for
    # that, and as long as that is used up, the volume counts as full.
    begun = time.monotonic()
    status = small.status()
    assert time.monotonic() - begun < 4
    assert "the volume mysql-1 is full" in status.trouble and "have it grow" in status.trouble
    eventually(lambda: small.status().ready, 60)
    assert "is full" in small.status().trouble
    assert count(small) == acknowledged
    small.agent.configure_database(
        databases.part(small, [small], max_connections="41"), databases.secrets
    )

    # Killed now, it comes back all the same.
    pid = small.supervisor.pid(NAME)
    small.kill()
    eventually(lambda: small.supervisor.pid(NAME) not in (None, pid))
    eventually(lambda: small.status().ready, 60)
    assert count(small) == acknowledged

    subprocess.run(["mount", "-o", "remount,size=400m", str(small.volume)], check=True)
    assert small.status().trouble == ""
    small.rows("INSERT INTO shop.things (text) VALUES ('more')")
    assert count(small) == acknowledged + 1


def test_data_can_be_deleted_from_a_full_volume(databases: Databases, small: Node) -> None:
    with_a_table(databases, small)
    fill(small)
    eventually(lambda: small.status().ready, 60)
    assert "is full" in small.status().trouble
    small.rows("TRUNCATE TABLE shop.things")
    eventually(lambda: small.status().trouble == "")
    small.rows("INSERT INTO shop.things (text) VALUES ('more')")


def test_a_volume_that_is_too_small_for_a_database_is_told(
    databases: Databases, small: Node
) -> None:
    subprocess.run(["mount", "-o", "remount,size=8m", str(small.volume)], check=True)
    databases.configure()
    with pytest.raises(AgentError, match=r"(?s)no database can be set up.*28"):
        small.create()
    assert not small.status().has_data
    subprocess.run(["mount", "-o", "remount,size=200m", str(small.volume)], check=True)
    small.create()
    assert small.status().ready
