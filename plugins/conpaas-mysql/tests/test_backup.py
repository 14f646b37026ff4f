"""What a database writes as a backup comes back as it was, or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError, WrongStateError
from conpaas_mysql import trial_room
from conpaas_mysql.testing import Databases, Node

SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")
SHOP = (
    "CREATE DATABASE `sh``op`",
    "CREATE TABLE `sh``op`.cake (id INT PRIMARY KEY, name TEXT CHARACTER SET utf8mb4)",
    "INSERT INTO `sh``op`.cake VALUES (1, 'Zürich 🍰'), (2, 'a''b\\\\n-- account \"DROP\"')",
    "CREATE DEFINER=`gone`@`%` VIEW `sh``op`.names AS SELECT name FROM `sh``op`.cake",
    "CREATE DEFINER=`mysqldb`@`%` PROCEDURE `sh``op`.p() SELECT '\n-- account \"x\"\n'",
    "CREATE USER baker@'10.%' IDENTIFIED BY 'let me in'",
    "CREATE USER `it's me`@`%`",
    "CREATE ROLE cook",
    "GRANT SELECT ON `sh``op`.* TO cook",
    "GRANT cook TO baker@'10.%'",
    "GRANT SELECT (name) ON `sh``op`.cake TO `it's me`@`%`",
)


@pytest.fixture
def member(members: list[Node]) -> Node:
    """A member with a shop and some accounts."""
    with members[0].sql() as session:
        for (name,) in session.rows("SHOW DATABASES"):
            if name not in SYSTEM:
                session.run("DROP DATABASE `" + name.replace("`", "``") + "`")
        session.run("DROP USER IF EXISTS baker@'10.%', `it's me`@`%`, other@`%`, gone@`%`")
        session.run("DROP ROLE IF EXISTS cook")
        session.run("CREATE USER gone@`%`")
        for statement in SHOP:
            session.run(statement)
        session.run("DROP USER gone@`%`")
    return members[0]


def seen(member: Node) -> list[object]:
    """Return what matters of a member's databases and accounts."""
    with member.sql() as session:
        session.run("SET SESSION wsrep_sync_wait = 15, wsrep_dirty_reads = OFF")
        return [
            session.rows("SHOW DATABASES"),
            session.rows("SELECT * FROM `sh``op`.cake ORDER BY id"),
            session.rows("SHOW CREATE PROCEDURE `sh``op`.p")[0][2],
            session.rows("SHOW CREATE VIEW `sh``op`.names")[0][1],
            session.rows("SHOW CREATE USER baker@'10.%'"),
            session.rows("SHOW GRANTS FOR baker@'10.%'"),
            session.rows("SHOW GRANTS FOR `it's me`@`%`"),
            session.rows("SHOW GRANTS FOR cook"),
            # Each member mends them at its start: when, differs.
            session.rows(
                "SELECT JSON_REMOVE(Priv, '$.password_last_changed', '$.default_role'), "
                "COALESCE(JSON_VALUE(Priv, '$.default_role'), '') FROM mysql.global_priv "
                "WHERE User IN ('mysqldb', 'sst') ORDER BY User"
            ),
        ]


def test_databases_and_accounts_come_back_on_all_members(
    members: list[Node], member: Node
) -> None:
    before = seen(member)
    own = "SELECT User, Host, Priv FROM mysql.global_priv WHERE User IN ('sst', 'monitor', 'root')"
    accounts = [one.rows(f"{own} ORDER BY User, Host") for one in members]
    backup = member.write_backup()
    with member.sql() as session:
        session.run("CREATE DATABASE newer")
        session.run("CREATE USER other@`%`")
        session.run("DROP DATABASE `sh``op`")
        session.run("DROP USER baker@'10.%'")
        session.run("ALTER USER `it's me`@`%` IDENTIFIED BY 'changed password'")
    member.read_backup(backup)
    for one in members:
        assert seen(one) == before
        assert one.rows("SELECT User FROM mysql.user WHERE User = 'other'") == []
    member.read_backup(backup)
    assert seen(member) == before, "repeated, it is the same"
    assert [one.rows(f"{own} ORDER BY User, Host") for one in members] == accounts
    assert all(len(rows) >= 2 for rows in accounts), "the service's own accounts stay"


def test_a_backup_comes_back_in_a_fresh_cluster_whose_password_stays(
    member: Node, databases: Databases
) -> None:
    backup = member.write_backup()
    assert b"USER `mysqldb`" not in gzip.decompress(backup).partition(b"-- MariaDB dump")[0]
    (fresh,) = databases.grow(1)
    fresh.agent.set_user_password(digest="*" + "A" * 40)
    fresh.read_backup(backup)
    assert fresh.rows("SELECT COUNT(*) FROM `sh``op`.cake") == [(2,)]
    assert fresh.agent.has_user_password(digest="*" + "A" * 40)


def test_a_trial_tells_what_is_in_a_backup_and_changes_nothing(member: Node) -> None:
    before = seen(member)
    assert member.try_backup(member.write_backup()) == "1 database, 2 tables, 2 rows"
    assert seen(member) == before
    assert not list(member.volume.glob("trial-*"))
    assert not list((member.root / "var/lib/conpaas-mysql").glob("trial-*"))


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("echo 'a table is gone' >&2; exit 3", "a table is gone"),
        ("exit 3", "it ended with 3"),
        ("head -c -60; exit 0", "it ended with 0"),
    ],
)
def test_a_backup_whose_dump_has_failed_is_none_however_its_last_line_looks(
    member: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, told: str
) -> None:
    real = shutil.which("mariadb-dump")
    program = tmp_path / "mariadb-dump"
    # What it writes is whole, or lacks its end.
    pipe = ";" if ending.startswith(("echo", "exit")) else "|"
    program.write_text(f'#!/bin/sh\n{real} "$@" {pipe} {ending}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(AgentError, match=f"mariadb-dump failed: {told}"):
        member.write_backup()


def _cut(backup: bytes) -> bytes:
    return backup[: len(backup) // 2]


def _flipped(backup: bytes) -> bytes:
    middle = len(backup) // 2
    return backup[:middle] + bytes([backup[middle] ^ 255]) + backup[middle + 1 :]


def _edited(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda backup: gzip.compress(gzip.decompress(backup).replace(old, new))


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _flipped,
        lambda backup: b"",
        lambda backup: b"\x00" * 5000,
        lambda backup: gzip.compress(b"TEXT of another service\n"),
        lambda backup: gzip.compress(gzip.decompress(backup)[:-30]),
        _edited(b"CREATE TABLE", b"CRATE TABLE"),
    ],
)
def test_a_broken_backup_is_told_apart(member: Node, damage: Callable[[bytes], bytes]) -> None:
    broken = damage(member.write_backup())
    with pytest.raises(InvalidError, match=r"broken|cut off|damaged|empty"):
        member.try_backup(broken)
    assert not list(member.volume.glob("trial-*"))


@pytest.mark.parametrize("damage", [_cut, _flipped, lambda backup: b""])
def test_what_is_seen_to_be_broken_at_once_changes_nothing(
    member: Node, damage: Callable[[bytes], bytes]
) -> None:
    before = seen(member)
    with pytest.raises(InvalidError):
        member.read_backup(damage(member.write_backup()))
    assert seen(member) == before


def test_rights_on_what_is_gone_are_left_out(member: Node) -> None:
    with member.sql() as session:
        session.run("CREATE TABLE `sh``op`.old (id INT PRIMARY KEY)")
        session.run("GRANT SELECT ON `sh``op`.old TO `it's me`@`%`")
        session.run("DROP TABLE `sh``op`.old")
    member.read_backup(member.write_backup())
    grants = [grant for (grant,) in member.rows("SHOW GRANTS FOR `it's me`@`%`")]
    assert not any("`old`" in grant for grant in grants)
    assert any("`cake`" in grant for grant in grants)


def test_a_backup_is_consistent_while_others_write(member: Node) -> None:
    with member.sql() as session:
        session.run("CREATE TABLE `sh``op`.purse (id INT PRIMARY KEY, sum INT)")
        session.run("INSERT INTO `sh``op`.purse SELECT seq, 100 FROM mysql.seq_1_to_20")
    ended = threading.Event()

    def trade() -> None:
        with member.sql() as session:
            number = 0
            while not ended.is_set():
                number += 1
                session.run("BEGIN")
                take = "UPDATE `sh``op`.purse SET sum = sum - 1 WHERE id = %s"
                give = "UPDATE `sh``op`.purse SET sum = sum + 1 WHERE id = %s"
                session.run(take, (number % 20 + 1,))
                session.run(give, (number * 7 % 20 + 1,))
                session.run("COMMIT")

    trader = threading.Thread(target=trade)
    trader.start()
    try:
        backups = [member.write_backup() for _ in range(3)]
    finally:
        ended.set()
        trader.join()
    for backup in backups:
        member.read_backup(backup)
        assert member.rows("SELECT SUM(sum) FROM `sh``op`.purse") == [(2000,)]


def test_without_room_nothing_is_tried(member: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_room, "_FIXED", 1 << 60)
    with pytest.raises(AgentError, match=r"no room to try the backup on .*\(grow_volume\)"):
        member.try_backup(member.write_backup())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_trial_that_takes_more_room_than_expected_is_ended_before_there_is_none(
    member: Node, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = place / "small"
    small.mkdir()
    # Little SQL for many small rows in many indices, each statement some MB.
    keys = "".join(f", KEY (a, b{number})" for number in range(12))
    columns = "".join(f", b{number} INT" for number in range(12))
    rows = f"INSERT INTO narrow.t SELECT {', '.join(['1'] * 13)} FROM mysql.seq_1_to_5000;\n"
    many = f"CREATE DATABASE narrow;\nCREATE TABLE narrow.t (a INT{columns}{keys});\n" + rows * 60
    end = b"-- Dump completed"
    backup = _edited(end, many.encode() + end)(member.write_backup())
    monkeypatch.setattr(trial_room, "_FIXED", 50 << 20)
    monkeypatch.setattr(trial_room, "_LEAST", 32 << 20)
    monkeypatch.setattr(member.agent, "_bases", lambda: [small])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(small)], check=True)
    try:
        small.chmod(0o755)
        before = seen(member)
        with pytest.raises(AgentError, match=rf"only [1-9]\d* MB are free at {small}, "):
            member.try_backup(backup)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert seen(member) == before


def test_work_on_a_backup_can_be_given_up(member: Node) -> None:
    member.agent.end_backup_work()  # none is fine
    with member.sql() as session:
        session.run("CREATE TABLE `sh``op`.big (id INT PRIMARY KEY, t TEXT)")
        session.run(
            "INSERT INTO `sh``op`.big SELECT seq, REPEAT('x', 500) FROM mysql.seq_1_to_9999"
        )
    job = member.agent.try_database_backup(member.as_backup(member.write_backup()))
    while "loading" not in next(job).message:
        pass
    threading.Timer(0.1, member.agent.end_backup_work).start()
    with pytest.raises(WrongStateError, match="given up"):
        while True:
            next(job)
            time.sleep(0.05)
    assert not list(member.volume.glob("trial-*"))
