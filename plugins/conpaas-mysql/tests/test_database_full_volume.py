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


def fill(node: Node) -> pymysql.err.MySQLError:
    """Write until that is refused; return how."""
    with node.sql() as connection:
        for number in range(400):
            try:
                connection.run(
                    "INSERT INTO shop.things (text) VALUES (REPEAT(MD5(RAND()), 30000))"
                )
            except pymysql.err.MySQLError as error:
                print(number, error)
                return error
    raise AssertionError("the volume has more room than it should")


def test_a_full_volume_is_told_and_nothing_is_lost(databases: Databases, small: Node) -> None:
    databases.configure()
    small.create()
    small.rows("CREATE DATABASE shop")
    small.rows("CREATE TABLE shop.things (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT)")
    refused = fill(small)
    assert refused.args[0] in (1114, 1180, 1026, 1030, 1021, 2013), refused
    kept = small.rows("SELECT COUNT(*), MAX(id) FROM shop.things")

    begun = time.monotonic()
    status = small.status()
    assert time.monotonic() - begun < 4
    assert "the volume mysql-1 is full" in status.trouble and "have it grow" in status.trouble
    assert status.is_running and status.is_primary and status.free < 32 << 20
    small.agent.configure_database(
        databases.part(small, [small], max_connections="41"), databases.secrets
    )

    # Killed now, it comes back as far as it can; with more room, it surely does.
    pid = small.supervisor.pid(NAME)
    small.kill()
    eventually(lambda: small.supervisor.pid(NAME) not in (None, pid))
    subprocess.run(["mount", "-o", "remount,size=400m", str(small.volume)], check=True)
    eventually(lambda: small.status().ready, 60)
    assert small.status().trouble == ""
    assert small.rows("SELECT COUNT(*), MAX(id) FROM shop.things") == kept
    small.rows("INSERT INTO shop.things (text) VALUES ('more')")


def test_data_can_be_deleted_from_a_full_volume(databases: Databases, small: Node) -> None:
    databases.configure()
    small.create()
    small.rows("CREATE DATABASE shop")
    small.rows("CREATE TABLE shop.things (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT)")
    fill(small)
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
