"""A dump is carried out with the user's own rights, one statement after the other."""

import gzip
import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from conpaas.errors import ConPaaSError, InvalidError, TooLargeError
from conpaas.rpc import Upload, finish
from conpaas_mysql.parts import USER
from conpaas_mysql.testing import eventually


@pytest.fixture(scope="module", autouse=True)
def _system_user():
    """The system user that the image of a machine has."""
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        subprocess.run(["useradd", "--system", "--no-create-home", USER], check=True)


@pytest.fixture
def member(members):
    """A member without databases."""
    for (name,) in members[0].rows("SHOW DATABASES"):
        if name not in ("mysql", "sys", "information_schema", "performance_schema"):
            members[0].rows(f"DROP DATABASE `{name.replace('`', '``')}`")
    return members[0]


def load(member, content, name="shop.sql", limit=1 << 30, load="one"):
    if isinstance(content, str):
        content = content.encode()
    upload = Upload(io.BytesIO(content), name, len(content))
    return finish(member.agent.load_dump(upload, load, limit))


SHOP = """CREATE DATABASE shop; USE shop;
CREATE TABLE cake (id INT PRIMARY KEY, name VARCHAR(40));
INSERT INTO cake VALUES (1, 'pie');
"""


@pytest.mark.parametrize("compress", [lambda sql: sql, gzip.compress])
def test_what_is_loaded_is_on_all_members(members, member, compress):
    report = load(member, compress(SHOP.encode()))
    assert report.size == len(SHOP)
    assert report.note == ""
    for each in members:
        with each.sql() as session:
            session.run("SET SESSION wsrep_sync_wait = 1, wsrep_dirty_reads = OFF")
            assert session.rows("SELECT * FROM shop.cake") == [(1, "pie")]


def test_a_statement_that_fails_is_told_with_its_line_and_what_is_before_it_stays(member):
    dump = SHOP + "INSERT INTO cake\nVALUES (1, 'tart');\nINSERT INTO cake VALUES (3, 'bun');\n"
    with pytest.raises(InvalidError) as failed:
        load(member, dump)
    assert str(failed.value) == (
        "shop.sql: the statement at line 4, which begins \"INSERT INTO cake VALUES (1, 'tart')\", "
        "failed: Duplicate entry '1' for key 'PRIMARY' (error 1062). The table has such a row "
        "already: empty it first. "
        "What stands before it has been carried out, and nothing after it."
    )
    assert member.rows("SELECT * FROM shop.cake") == [(1, "pie")]


@pytest.mark.parametrize(
    "hostile",
    [
        "\\! touch {there}\n",
        "system touch {there}\n;\n",
        "source {script}\n;\n",
        "\\. {script}\n",
        "DELIMITER //\n\\! touch {there}\n//\n",
        "/*M!999999\\! touch {there} */;\n",
        "tee {there}\n;\n",
        "pager touch {there}\n;\nSELECT 1;\n",
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE cake;\n",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE cake;\n",
        "SELECT 'x' INTO OUTFILE '{there}';\n",
        "DROP TABLE mysql.global_priv;\n",
        "DELETE FROM mysql.user;\n",
        "UPDATE mysql.global_priv SET Priv = '{{}}';\n",
        "SET GLOBAL wsrep_on = OFF;\n",
        "SET SESSION wsrep_on = OFF;\n",
        "SET SESSION sql_log_bin = 0;\n",
        "INSTALL SONAME 'ha_blackhole';\n",
        "GRANT SUPER ON *.* TO mysqldb@'%';\n",
        "SET PASSWORD FOR monitor@localhost = PASSWORD('12345678');\n",
        "CREATE DEFINER=root@localhost PROCEDURE p() DELETE FROM mysql.user;\n",
        "SHUTDOWN;\n",
    ],
)
def test_a_dump_runs_no_program_and_reaches_no_file_and_nothing_of_the_server(
    member, tmp_path, hostile
):
    tmp_path.chmod(0o777)
    there, script = tmp_path / "there", tmp_path / "script.sql"
    script.write_text(f"CREATE TABLE shop.sourced (id INT PRIMARY KEY); \\! touch {there}\n")
    accounts = member.rows("SELECT * FROM mysql.global_priv ORDER BY User")
    with pytest.raises(InvalidError, match="has been carried out, and nothing after it"):
        load(member, SHOP + hostile.format(there=there, script=script) + "CREATE TABLE z (i INT);")
    assert not there.exists()
    assert member.rows("SELECT TABLE_NAME FROM information_schema.TABLES "
                       "WHERE TABLE_SCHEMA = 'shop'") == [("cake",)]  # fmt: skip
    assert member.rows("SELECT * FROM mysql.global_priv ORDER BY User") == accounts
    assert member.rows("SELECT * FROM shop.cake") == [(1, "pie")]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "CREATE DEFINER=`app`@`%` VIEW v AS SELECT 1 AS one;",
            "account `app`@`%`, which is not yours: take that DEFINER=… out of the dump",
        ),
        ("SET @@GLOBAL.GTID_PURGED = '';", "make it with --set-gtid-purged=OFF"),
        ("SET @@SESSION.SQL_LOG_BIN = 0;", "make it with --set-gtid-purged=OFF"),
        (
            "CREATE TABLE t (i INT PRIMARY KEY) COLLATE utf8mb4_0900_ai_ci;",
            "write utf8mb4_unicode_ci for utf8mb4_0900_ai_ci",
        ),
        ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE cake;", "hold the data itself"),
        ("CREATE TABLE cake (i INT);", "make the dump with --add-drop-table"),
        ("SELEKT 1;", "You have an error in your SQL syntax"),
        ("SELECT 'never ended", 'which begins "SELECT \'never ended"'),
        (
            "CREATE USER x IDENTIFIED BY 'plain-text' PASSWORD EXPIRE NEVER FOO;",
            "which begins 'CREATE USER x IDENTIFIED …'",
        ),
    ],
)
def test_what_to_do_about_a_statement_is_told(member, statement, told):
    with pytest.raises(InvalidError) as failed:
        load(member, SHOP + statement)
    assert told in str(failed.value)
    assert "line 4" in str(failed.value)
    assert "plain-text" not in str(failed.value).partition("failed:")[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n\n\t\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(SHOP.encode())[:-6], "is cut off"),
        (gzip.compress(SHOP.encode() * 9)[:-30], "is cut off"),
        (gzip.compress(SHOP.encode())[:-8] + bytes(8), "is damaged"),
        (b"\x1f\x8b and no more", "is damaged"),
        (SHOP.encode("utf-16"), "is UTF-16 text"),
        (SHOP.encode("utf-16-le"), "is no SQL text"),
        (os.urandom(3000) + b"\0", "is no SQL text"),
        (b"\xfd7zXZ\x00...", "is compressed by xz"),
        (b"PK\x03\x04...", "is a zip archive"),
        (b"a" * 257 + b"ustar  \0", "is a tar archive"),
        (b"-- MariaDB dump 10.19\n" + SHOP.encode(), "its last line is not '-- Dump completed'"),
        (SHOP.encode() + b"USE `mysql`;\nDROP TABLE user;\n", "own database 'mysql' in it"),
        (SHOP.encode() + b"use sys ;\n", "own database 'sys' in it"),
    ],
)
def test_what_is_no_whole_dump_is_refused_before_any_of_it_is_carried_out(member, content, told):
    with pytest.raises(InvalidError, match=told):
        load(member, content)
    assert ("shop",) not in member.rows("SHOW DATABASES")


def test_a_dump_that_unpacks_to_more_than_is_allowed_is_refused_before_it_is_carried_out(member):
    bomb = gzip.compress(SHOP.encode() + b"-- zzz\n" * 3_000_000)
    with pytest.raises(TooLargeError, match="more than the 8 MB that are allowed"):
        load(member, bomb, limit=8 << 20)
    assert ("shop",) not in member.rows("SHOW DATABASES")


def test_names_with_quotes_and_texts_of_all_kinds_are_loaded_as_they_are(member):
    name = 'it\'s a "shop"; `DROP` ünd -- 日本'
    quoted = "`" + name.replace("`", "``") + "`"
    dump = f"""\ufeffCREATE DATABASE {quoted};
USE {quoted};
CREATE TABLE {quoted} (id INT PRIMARY KEY, t TEXT);
INSERT INTO {quoted} VALUES (1, 'a;b\\'c"d`e\n-- f /* g\r\n'), (2, '🍰\\0\\n');
DELIMITER //
CREATE TRIGGER tr BEFORE INSERT ON {quoted} FOR EACH ROW BEGIN SET NEW.t = UPPER(NEW.t); END//
DELIMITER ;
INSERT INTO {quoted} VALUES (3, 'pie');
"""
    load(member, dump)
    assert member.rows(f"SELECT * FROM {quoted}.{quoted}") == [
        (1, "a;b'c\"d`e\n-- f /* g\r\n"), (2, "🍰\0\n"), (3, "PIE"),
    ]  # fmt: skip


def test_what_a_cluster_keeps_badly_is_told(member):
    dump = SHOP + "CREATE TABLE loose (i INT); CREATE TABLE `lo``ose` (i INT);"
    dump += "CREATE EVENT sweep ON SCHEDULE EVERY 1 DAY DO DELETE FROM loose;"
    report = load(member, dump)
    assert report.note == (
        "Without a primary key, which makes changes of many rows slow: `shop`.`loose`, "
        "`shop`.`lo``ose`; add one. Events are kept, and do not run on a cluster: `shop`.`sweep`."
    )


def test_a_table_of_another_engine_never_stays_on_one_member_only(members, member):
    dump = SHOP + "SET SQL_MODE='NO_AUTO_VALUE_ON_ZERO';\nCREATE TABLE old (i INT PRIMARY KEY) "
    dump += "ENGINE=MyISAM;\nINSERT INTO old VALUES (1);\n"
    try:
        load(member, dump)
    except InvalidError as error:
        assert "write ENGINE=InnoDB in the dump" in str(error)
    else:
        with members[1].sql() as session:
            session.run("SET SESSION wsrep_sync_wait = 1, wsrep_dirty_reads = OFF")
            assert session.rows("SELECT * FROM shop.old") == [(1,)]


def test_a_dump_that_is_given_up_ends_between_two_statements(member):
    dump = SHOP + "DO SLEEP(30); INSERT INTO cake VALUES (2, 'tart');\n"
    failed = []

    def loading():
        try:
            load(member, dump, load="this")
        except ConPaaSError as error:
            failed.append(error)

    thread = threading.Thread(target=loading)
    thread.start()
    eventually(lambda: sleeping(member))
    member.agent.end_load("another")  # is not meant
    assert thread.is_alive()
    member.agent.end_load("this")
    thread.join(10)
    assert "loading was given up" in str(failed[0])
    eventually(lambda: not sleeping(member))
    assert member.rows("SELECT * FROM shop.cake") == [(1, "pie")]


def sleeping(member):
    return member.rows("SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'")


def test_when_the_agent_is_killed_no_half_of_a_statement_is_carried_out(member, tmp_path):
    # The file ends in the middle of a statement that would delete everything if it ended there.
    member.rows("CREATE DATABASE shop")
    member.rows("CREATE TABLE shop.cake (id INT PRIMARY KEY, name VARCHAR(40))")
    member.rows("INSERT INTO shop.cake VALUES (1, 'pie')")
    script = f"""
import pathlib, threading, time, conpaas_mysql.loading as loading
from conpaas.rpc import finish
class File:
    name, percent = "shop.sql", 0
    def pieces(self):
        yield b"SELECT SLEEP(0);\\nDELETE FROM shop.cake WHERE id = 1"
        print("sent", flush=True)
        time.sleep(60)
        yield b" AND name = 'tart';\\n"
socket = pathlib.Path({str(member.agent.database.directories.socket)!r})
finish(loading.load(File(), socket, threading.Event()))
"""
    agent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert agent.stdout.readline() == b"sent\n"
    clients = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'mysqldb'"
    eventually(lambda: member.rows(clients))
    time.sleep(0.2)
    agent.send_signal(signal.SIGKILL)
    agent.communicate()
    eventually(lambda: not member.rows(clients))
    assert member.rows("SELECT * FROM shop.cake") == [(1, "pie")]


def test_when_the_server_dies_in_the_middle_that_is_told_and_the_agent_goes_on(member):
    failed = []

    def loading():
        try:
            load(member, SHOP + "DO SLEEP(30);\n")
        except ConPaaSError as error:
            failed.append(error)

    thread = threading.Thread(target=loading)
    thread.start()
    eventually(lambda: sleeping(member))
    member.kill()
    thread.join(20)
    assert failed[0].code == "agent"
    assert "went away" in str(failed[0])
    eventually(lambda: member.status().ready, 60)
    assert load(member, "DO 1;").size == 5
