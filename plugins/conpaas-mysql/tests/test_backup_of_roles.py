"""Roles come back with those who have them, and who made them can still pass them on."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conpaas_mysql import accounts, user_accounts
from conpaas_mysql.client import session
from conpaas_mysql.testing import Node
from conpaas_mysql.throwaway import throwaway

PASSWORD = "sesame"
#: Names as users may give them, and as SQL writes them.
ODD = ("two words", "o'clock", 'the "best"', "back`tick", "back\\slash", "ä\nb", "' OR `x`@`%` #")
ROLES = "SELECT Host, User, Role, Admin_option FROM mysql.roles_mapping ORDER BY 1, 2, 3"


@pytest.fixture
def member(members: list[Node]) -> Node:
    """A member whose application has made a role for its cooks."""
    with members[0].sql() as connection:
        for name, host in connection.rows(
            "SELECT User, Host FROM mysql.user WHERE NOT is_role AND User IN ('baker', 'other')"
        ):
            connection.run(f"DROP USER `{name}`@`{host}`")
        for (name,) in connection.rows("SELECT User FROM mysql.user WHERE is_role = 'Y'"):
            if name != "PUBLIC":
                connection.run(f"DROP ROLE {quoted(name)}")
        for statement in accounts.user_account(accounts.digest(PASSWORD)):
            connection.run(statement)
        connection.run("SET DEFAULT ROLE NONE FOR mysqldb@'%'")
        connection.run("CREATE DATABASE IF NOT EXISTS shop")
    user(members[0], "CREATE ROLE cook", "CREATE USER baker@'%'", "CREATE USER other@'%'")
    return members[0]


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def user(member: Node, *statements: str) -> list[tuple[Any, ...]]:
    """Carry statements out as the application's user; return what the last one finds."""
    found: list[tuple[Any, ...]] = []
    with member.sql("mysqldb", PASSWORD) as connection:
        for statement in statements:
            found = connection.rows(statement)
    return found


def rows(member: Node, statement: str) -> list[tuple[Any, ...]]:
    """Return what a member has once it has all that the others have done."""
    with member.sql() as connection:
        connection.run("SET SESSION wsrep_sync_wait = 15, wsrep_dirty_reads = OFF")
        return connection.rows(statement)


def of_an_earlier_version(backup: bytes) -> bytes:
    """Return a backup without what it tells of the account ``mysqldb`` and of everybody."""
    lines = gzip.decompress(backup).splitlines(keepends=True)
    kept = [line for line in lines if not _tells_of_owner(line)]
    assert len(kept) < len(lines)
    return gzip.compress(b"".join(kept))


def _tells_of_owner(line: bytes) -> bool:
    statement = user_accounts.from_comment(line) or ""
    if statement.endswith(" TO PUBLIC"):
        return True
    return "`mysqldb`@`%`" in statement and not statement.startswith("CREATE")


@pytest.mark.parametrize("version", [bytes, of_an_earlier_version])
def test_who_made_a_role_has_it_after_a_restore_and_can_pass_it_on(
    members: list[Node], member: Node, version: Callable[[bytes], bytes]
) -> None:
    user(member, "GRANT SELECT ON shop.* TO cook", "GRANT cook TO baker@'%'")
    before = member.rows(ROLES)
    backup = version(member.write_backup())
    for _ in range(2):
        member.read_backup(backup)
        assert user(member, "SET ROLE cook", "SELECT CURRENT_ROLE()") == [("cook",)]
        user(member, "GRANT cook TO other@'%'", "REVOKE cook FROM other@'%'")
        assert [rows(one, ROLES) for one in members] == [before, before]


def test_a_role_that_an_earlier_restore_left_to_the_administrator_comes_back(
    member: Node,
) -> None:
    member.rows("CREATE OR REPLACE ROLE cook")
    assert member.rows(ROLES)[0][1:] == ("root", "cook", "Y")
    member.read_backup(member.write_backup())
    assert member.rows(ROLES) == [("%", "mysqldb", "cook", "Y")]


def test_roles_of_roles_and_of_others_and_the_default_ones_come_back(
    members: list[Node], member: Node
) -> None:
    user(
        member,
        "CREATE ROLE chef",
        "GRANT cook TO chef",
        "CREATE ROLE guest",
        "GRANT guest TO cook WITH ADMIN OPTION",
        "GRANT chef TO baker@'%' WITH ADMIN OPTION",
        "GRANT chef TO other@'%'",
        "REVOKE ADMIN OPTION FOR chef FROM mysqldb@'%'",
        "SET DEFAULT ROLE chef",
    )
    member.rows("SET DEFAULT ROLE chef FOR other@'%'")
    defaults = "SELECT User, default_role FROM mysql.user WHERE NOT is_role = 'Y' ORDER BY User"
    before, default = member.rows(ROLES), member.rows(defaults)
    assert ("mysqldb", "chef") in default and ("other", "chef") in default
    backup = member.write_backup()
    member.rows("DROP ROLE chef")
    user(member, "CREATE ROLE newer", "SET DEFAULT ROLE newer")
    member.read_backup(backup)
    for one in members:
        assert (rows(one, ROLES), rows(one, defaults)) == (before, default)


def test_roles_with_odd_names_come_back(members: list[Node], member: Node) -> None:
    for name in ODD:
        user(member, f"CREATE ROLE {quoted(name)}", f"GRANT {quoted(name)} TO baker@'%'")
    user(member, f"SET DEFAULT ROLE {quoted(ODD[-1])}")
    before = member.rows(ROLES)
    assert len(before) == 1 + 2 * len(ODD)
    member.read_backup(member.write_backup())
    assert [rows(one, ROLES) for one in members] == [before, before]
    assert user(member, "SELECT CURRENT_ROLE()") == [(ODD[-1],)]
    for name in ODD:
        user(member, f"SET ROLE {quoted(name)}", f"GRANT {quoted(name)} TO other@'%'")


def test_what_everybody_may_comes_back(members: list[Node], member: Node) -> None:
    user(member, "GRANT cook TO PUBLIC", "GRANT SELECT ON shop.* TO PUBLIC")
    before = member.rows("SHOW GRANTS FOR PUBLIC")
    assert len(before) == 3
    backup = member.write_backup()
    user(member, "REVOKE SELECT ON shop.* FROM PUBLIC", "GRANT INSERT ON shop.* TO PUBLIC")
    member.read_backup(of_an_earlier_version(backup))
    assert not any("SELECT" in grant for (grant,) in member.rows("SHOW GRANTS FOR PUBLIC"))
    assert any("INSERT" in grant for (grant,) in member.rows("SHOW GRANTS FOR PUBLIC"))
    member.read_backup(backup)
    assert [rows(one, "SHOW GRANTS FOR PUBLIC") for one in members] == [before, before]
    user(member, "REVOKE SELECT ON shop.* FROM PUBLIC", "REVOKE cook FROM PUBLIC")


def test_a_default_role_that_is_gone_hinders_no_restore(member: Node) -> None:
    user(member, "SET DEFAULT ROLE cook", "GRANT cook TO baker@'%'")
    member.rows("SET DEFAULT ROLE cook FOR baker@'%'")
    user(member, "DROP ROLE cook")
    member.read_backup(member.write_backup())
    assert user(member, "SELECT CURRENT_ROLE()") == [(None,)]
    assert member.rows("SELECT 1 FROM mysql.user WHERE User = 'baker'") == [(1,)]


def test_a_restore_makes_the_account_that_roles_belong_to_if_somebody_has_dropped_it(
    member: Node,
) -> None:
    backup = member.write_backup()
    user(member, "DROP USER mysqldb@'%'")
    member.read_backup(backup)
    assert member.rows(ROLES) == [("%", "mysqldb", "cook", "Y")]
    member.agent.set_user_password(digest=accounts.digest(PASSWORD))
    user(member, "GRANT cook TO other@'%'")


def test_the_roles_of_a_backup_are_tried_too(member: Node, place: Path) -> None:
    member.try_backup(member.write_backup())
    with member.sql() as connection:
        made = list(user_accounts.statements(connection))
    with throwaway(place) as socket, session(socket, seconds=20) as connection:
        assert user_accounts.replace(connection, made) == []
        assert connection.rows(ROLES) == [("%", "mysqldb", "cook", "Y")]
