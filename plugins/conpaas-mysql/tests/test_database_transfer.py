"""Whole copies of a database for a member that lacks too much: made, cut off, made again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from conpaas_mysql.galera import saved
from conpaas_mysql.mariadb import NAME
from conpaas_mysql.testing import (
    Databases,
    Node,
    eventually,
    freeze,
    in_parallel,
    sends_rsync,
    thaw,
)

pytestmark = pytest.mark.long


def is_synced(node: Node) -> bool:
    return node.status().ready and node.status().state == 4


def with_data(databases: Databases) -> Node:
    """Create a cluster with some megabytes of data."""
    (first,) = databases.grow()
    first.rows("CREATE DATABASE shop")
    first.rows("CREATE TABLE shop.things (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT)")
    for _ in range(5):
        first.rows("INSERT INTO shop.things (text) VALUES (REPEAT(MD5(RAND()), 60000))")
    return first


def sums(node: Node) -> object:
    return node.rows("CHECKSUM TABLE shop.things")


def receives_backup(words: list[str]) -> bool:
    return Path(words[0]).name == "mbstream" and "-x" in words


def test_a_member_that_is_killed_while_it_gets_a_copy_begins_anew_by_itself(
    databases: Databases,
) -> None:
    first = with_data(databases)
    second = databases.machine()
    databases.configure()
    joining = threading.Thread(target=second.join)
    joining.start()
    frozen = freeze(sends_rsync(first.volume))
    eventually(lambda: first.status().state == 2)
    half = second.status()
    assert not half.has_data and half.is_running and not half.ready and half.trouble == ""
    assert second.agent.database.has_data is False and saved(second.volume / "data").cluster == ""
    pid = second.supervisor.pid(NAME)
    second.kill()
    thaw(frozen)
    eventually(lambda: second.supervisor.pid(NAME) not in (None, pid))
    joining.join(100)
    # The first waited for the one that it had lost, and nobody had to tell it anything.
    eventually(lambda: is_synced(first) and is_synced(second), 100)
    assert sums(first) == sums(second)
    assert first.status().members == ("mysql-1", "mysql-2")
    assert "Using stunnel for SSL encryption" in second.agent.database.log.read_text()


# mariabackup tells late that nobody gets its copy: this happens in most such cases by itself.
def test_a_donor_that_galera_has_forgotten_takes_queries_again(databases: Databases) -> None:
    databases.transfer = "mariabackup"
    first = with_data(databases)
    before = sums(first)
    second = databases.machine()
    databases.configure()
    second.agent.database.start(join=True)
    frozen = freeze(receives_backup)
    eventually(lambda: first.status().state == 2)
    second.kill(stay_down=True)
    # The script notices while its server has nobody else, and is no member of anything.
    eventually(lambda: not first.status().is_primary)
    thaw(frozen)
    log = first.agent.database.log
    eventually(lambda: "SST sending failed" in log.read_text())
    first.rows("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
    eventually(lambda: "a copy of it was cut off" in first.status().trouble)
    assert not first.status().is_primary
    assert first.status().position >= 0
    first.promote()
    assert is_synced(first)
    assert sums(first) == before
    second.join()
    assert sums(second) == before
    assert first.status().members == ("mysql-1", "mysql-2")


def test_two_on_one_machine_get_copies_by_mariabackup_at_once(databases: Databases) -> None:
    databases.transfer = "mariabackup"
    first = with_data(databases)
    databases.grow()
    two = [databases.machine(), databases.machine()]
    databases.configure()
    in_parallel(*(node.join for node in two))
    assert len({str(sums(node)) for node in databases.nodes}) == 1
    # Not whom each names: who came while another copy was made is left out of that by MariaDB
    # 10.11 until somebody comes or goes.
    size = "SHOW STATUS LIKE 'wsrep_cluster_size'"
    eventually(lambda: all(n.rows(size) == [("wsrep_cluster_size", "4")] for n in two))
    assert all(f"mysql-{number}" in first.status().members for number in (1, 2, 3, 4))
    for node in two:
        words = node.agent.database.log.read_text()
        assert "SST failed" not in words
        assert "openssl based encryption" in words


def test_when_the_giver_dies_another_one_gives(databases: Databases) -> None:
    first = with_data(databases)
    (second,) = databases.grow()
    third = databases.machine()
    databases.configure()
    joining = threading.Thread(target=third.join)
    joining.start()
    frozen = freeze(sends_rsync(first.volume, second.volume))
    (giver,) = (node for node in (first, second) if node.status().state == 2)
    giver.kill(stay_down=True)
    thaw(frozen)
    joining.join(120)
    other = second if giver is first else first
    eventually(lambda: is_synced(third) and is_synced(other), 60)
    assert sums(third) == sums(other)
    giver.join()
    assert sums(giver) == sums(third)
