"""What each account of a database may do, asked of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from conpaas_mysql import accounts
from conpaas_mysql.testing import Databases, Node, eventually

PASSWORD = 'quote\'s "and" ünïcode'


@pytest.fixture(scope="module")
def node(place: Path) -> Iterator[Node]:
    """A database whose user has a password, a database and an account of his own."""
    databases = Databases(place)
    (node,) = databases.grow()
    with node.sql() as connection:
        for statement in accounts.user_account(accounts.digest(PASSWORD)):
            connection.run(statement)
    for statement in (
        "CREATE DATABASE shop",
        "CREATE TABLE shop.things (id INT PRIMARY KEY)",
        "CREATE USER app@'%' IDENTIFIED BY 'app'",
    ):
        as_user(node, statement)
    yield node
    databases.close()


def as_user(
    node: Node, statement: str, user: str = "mysqldb", password: str = PASSWORD
) -> tuple[tuple[Any, ...], ...]:
    """Carry out a statement over the network."""
    connection = pymysql.connect(
        host=node.address,
        user=user,
        # As bytes: of text pymysql would send Latin-1, where all other clients send UTF-8.
        password=password.encode(),
        ssl_disabled=True,
        autocommit=True,
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchall())
    finally:
        connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT ALL ON shop.* TO app@'%' WITH GRANT OPTION",
        "CREATE OR REPLACE VIEW shop.view AS SELECT * FROM shop.things",
        "CREATE OR REPLACE PROCEDURE shop.routine() SELECT 1",
        "CREATE OR REPLACE FUNCTION shop.seven() RETURNS INT RETURN 7",
        "CREATE OR REPLACE TRIGGER shop.up BEFORE INSERT ON shop.things FOR EACH ROW "
        "SET new.id = new.id + 1",
        "CREATE OR REPLACE EVENT shop.daily ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.things",
        "LOCK TABLES shop.things WRITE",
        "CREATE TEMPORARY TABLE shop.scratch (id INT) ENGINE = MEMORY",
        "SHOW PROCESSLIST",
        "SELECT user, host FROM mysql.user",
        "OPTIMIZE TABLE shop.things",
        "CREATE OR REPLACE ROLE clerks",
        "CREATE OR REPLACE DATABASE `ünï'code\"`",
    ],
)
def test_the_user_may(node: Node, statement: str) -> None:
    as_user(node, statement)


@pytest.mark.parametrize(
    "statement",
    [
        # The cluster and the server.
        "SET GLOBAL wsrep_cluster_address = 'gcomm://'",
        "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'",
        "SET SESSION wsrep_on = OFF",
        "SET GLOBAL max_connections = 1",
        "SET SESSION sql_log_bin = 0",
        "SHUTDOWN",
        "FLUSH TABLES WITH READ LOCK",
        "CHANGE MASTER TO master_host = 'x'",
        "KILL 1",
        # Files and programs of the machine.
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE shop.things",
        "INSTALL SONAME 'ha_archive'",
        "CREATE FUNCTION shop_udf RETURNS STRING SONAME 'x.so'",
        # Rights that he lacks.
        "GRANT ALL ON *.* TO app@'%'",
        "GRANT SUPER ON *.* TO app@'%'",
        "GRANT FILE ON *.* TO app@'%'",
        "GRANT ALL ON mysql.* TO app@'%'",
        "CREATE DEFINER = root@localhost PROCEDURE shop.rooted() SELECT 1",
        "CREATE DEFINER = root@localhost VIEW shop.secrets AS SELECT * FROM mysql.global_priv",
        # The server's own tables, which members do not replicate.
        "UPDATE mysql.global_priv SET priv = '{}'",
        "INSERT INTO mysql.db VALUES ()",
        "DELETE FROM mysql.user",
        "DROP TABLE mysql.user",
        "CREATE TABLE mysql.mine (id INT)",
        "CREATE PROCEDURE mysql.mine() SELECT 1",
        "RENAME TABLE shop.things TO mysql.things",
        "DROP DATABASE mysql",
        "DROP DATABASE sys",
        # What other members would not have.
        "CREATE TABLE shop.local (id INT) ENGINE = MyISAM",
        "CREATE TABLE shop.local (id INT) ENGINE = Aria",
    ],
)
def test_the_user_may_not(node: Node, statement: str) -> None:
    with pytest.raises(pymysql.err.Error) as refused:
        as_user(node, statement)
    # Refused for lack of a right, an owner or a way; never because it was written wrongly.
    assert refused.value.args[0] in {1044, 1045, 1095, 1142, 1227, 1290, 1370, 4165}


def test_no_file_can_be_read_by_a_function(node: Node) -> None:
    assert as_user(node, "SELECT LOAD_FILE('/etc/passwd')") == ((None,),)
    assert node.rows("SELECT LOAD_FILE('/etc/passwd')") == [(None,)]


def test_the_server_itself_opens_no_way_to_files_and_programs(node: Node) -> None:
    """Whoever becomes its administrator does not get at the machine."""
    with pytest.raises(pymysql.err.Error):
        node.rows("SELECT 1 INTO OUTFILE '/tmp/x'")
    with pytest.raises(pymysql.err.Error):
        node.rows(f"SELECT 1 INTO OUTFILE '{node.root}/var/lib/conpaas-mysql/files/x'")
    for variable in ("wsrep_notify_cmd", "wsrep_provider", "plugin_dir", "secure_file_priv"):
        with pytest.raises(pymysql.err.OperationalError, match="read only"):
            node.rows(f"SET GLOBAL {variable} = '/tmp/x'")


def test_there_are_only_the_accounts_that_belong_there(node: Node) -> None:
    found = {(user, host) for user, host in node.rows("SELECT user, host FROM mysql.user")}
    ours = {("sst", "localhost"), ("monitor", "localhost"), ("root", "localhost")}
    assert found - {("app", "%"), ("clerks", "")} == {
        *ours,
        ("mysqldb", "%"),
        ("mariadb.sys", "localhost"),
    }
    for user, password in (("root", ""), ("", ""), ("monitor", "monitor"), ("mysqldb", "")):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            as_user(node, "SELECT 1", user, password)


def test_a_digest_is_what_the_server_makes_of_a_password(node: Node) -> None:
    assert node.rows("SELECT PASSWORD('sesame')") == [(accounts.digest("sesame"),)]


def test_accounts_that_the_user_has_spoilt_are_mended_when_the_server_starts(
    node: Node,
) -> None:
    for statement in (
        "ALTER USER root@localhost IDENTIFIED BY 'x'",
        "RENAME USER root@localhost TO root2@'%'",
        "DROP USER sst@localhost",
    ):
        as_user(node, statement)
    status = node.status()
    assert status.ready and status.is_primary
    assert "changed the account of the database's administrator" in status.trouble
    as_user(node, "DROP USER monitor@localhost, root2@'%'")
    assert "does not answer" in node.status().trouble
    pid = node.supervisor.pid("mariadb")
    node.kill()
    eventually(lambda: node.supervisor.pid("mariadb") not in (None, pid))
    eventually(lambda: node.status().ready)
    assert node.status().trouble == ""
    assert as_user(node, "SELECT 1") == ((1,),)
