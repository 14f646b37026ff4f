"""A database whose volume is full says so, loses nothing, and goes on when there is room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from conpaas_mysql.testing import Databases, Node, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a volume of its own needs root")
_SIZE, _LARGER = 200, 400  # MB: an empty database, its logs and Galera's cache take 150
_ROW = 500_000  # bytes


@pytest.fixture
def node(databases: Databases) -> Iterator[Node]:
    """A database on a small volume: a file system in memory, which can grow."""
    node = databases.machine()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}m", "tmpfs", str(node.volume)], check=True
    )
    try:
        databases.configure()
        node.create()
        yield node
    finally:
        databases.close()
        eventually(lambda: not _is_used(node.volume))
        subprocess.run(["umount", str(node.volume)], check=True)


def _is_used(path: Path) -> bool:
    return subprocess.run(["fuser", "-sm", str(path)], check=False).returncode == 0


def test_a_full_volume_is_told_and_after_growing_the_database_goes_on(node: Node) -> None:
    with node.sql() as session:
        session.run("CREATE DATABASE shop")
        session.run("CREATE TABLE shop.cake (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT)")
    acknowledged = _fill(node)
    assert acknowledged > 10
    eventually(lambda: "is full" in node.status().trouble)
    status = node.status()
    assert "delete data, or have it grow" in status.trouble
    assert status.free < 20 << 20
    grown = f"remount,size={_LARGER}m"
    subprocess.run(["mount", "-o", grown, str(node.volume)], check=True)
    eventually(lambda: node.status().ready and not node.status().trouble, 60)
    with node.sql() as session:
        assert session.rows("SELECT COUNT(*) FROM shop.cake WHERE LENGTH(t) = 500000") == [
            (acknowledged,)
        ]
        session.run("INSERT INTO shop.cake (t) VALUES (%s)", ("x" * _ROW,))


def _fill(node: Node) -> int:
    """Insert rows until one is refused; return how many were acknowledged."""
    done = 0
    with node.sql() as session:
        for _ in range(1000):
            try:
                session.run("INSERT INTO shop.cake (t) VALUES (%s)", ("x" * _ROW,))
            except pymysql.Error:
                return done
            done += 1
    raise AssertionError("the volume never became full")
