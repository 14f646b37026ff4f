"""The user's password, dumps, and loading them: through director, manager and agents."""

import gzip
import io
import itertools
import os
import re
import subprocess
import threading
import time

import psutil
import pymysql
import pytest

from conpaas.errors import BusyError, ConPaaSError, InvalidError, TooLargeError, WrongStateError
from conpaas.manager.config import LimitsSection
from conpaas.rpc import Upload
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas_mysql import accounts
from conpaas_mysql.client import session
from conpaas_mysql.parts import MYSQL_PORT, USER
from conpaas_mysql.testing import eventually

DATABASES = 2
SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")
TELLERS = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'"


class Shop:
    """A service of databases, and what its user does with it."""

    def __init__(self, cluster, service):
        self.cluster = cluster
        self.service = service

    @property
    def nodes(self):
        return self.cluster.agents(1, 1)

    def log_in(self, password, node):
        """Connect as a program of the user's does."""
        pymysql.connect(
            host=node.agent.place.address, port=MYSQL_PORT, user=USER, password=password,
            connect_timeout=10,
        ).close()  # fmt: skip

    def rows(self, statement, node=0):
        """Return what a query finds at a node, when it has all that there is."""
        with session(self.nodes[node].agent.database.directories.socket, seconds=60) as found:
            found.run("SET SESSION wsrep_sync_wait = 1, wsrep_dirty_reads = OFF")
            return found.rows(statement)

    def dump(self):
        return b"".join(self.service.dump().pieces)

    def load(self, content, name="shop.sql"):
        content = content.encode() if isinstance(content, str) else content
        upload = Upload(io.BytesIO(content), name, len(content))
        return self.service.load_dump(filename=upload)

    def drop_all(self):
        for (name,) in self.rows("SHOW DATABASES"):
            if name not in SYSTEM:
                self.rows(f"DROP DATABASE `{name.replace('`', '``')}`")


@pytest.fixture(scope="module")
def _shop():
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        subprocess.run(["useradd", "--system", "--no-create-home", USER], check=True)
    network = f"127.{20 + os.getpid() % 230}.0.0/16"
    limits = LimitsSection(nodes_per_service=20, data=300 << 20)
    with Cluster(subnet=network, limits=limits) as cluster:
        shop = Shop(cluster, cluster.service("mysql"))
        cluster.run(shop.service.start())
        growing = shop.service.add_nodes(nodes={"mysql": 1})
        with pytest.raises(BusyError) as busy:
            shop.load("SELECT 1;")
        shop.refused_while_growing = str(busy.value)
        cluster.run(growing)
        yield shop


@pytest.fixture
def shop(_shop):
    """A service that runs, without databases."""
    if _shop.cluster.state(1, 1) is State.STOPPED:
        _shop.cluster.run(_shop.service.start())
    _shop.drop_all()
    return _shop


# -- the password ---------------------------------------------------------------------------------


def test_a_new_password_is_at_once_valid_on_all_nodes_and_the_one_before_is_not(shop):
    before = ""
    for number in range(DATABASES):
        password = f"pass word '\"\\ {number}"
        shop.service.set_password(password=password)
        for node in shop.nodes:
            shop.log_in(password, node)
            with pytest.raises(pymysql.Error, match="Access denied"):
                shop.log_in(before, node)
        before = password


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("", "too short"),
        ("x", "too short"),
        ("1234567", "too short"),
        ("x" * 81, "too long"),
        ("with\nline", "must not have"),
        ("with\x00null", "must not have"),
        ("with a wörd", "must not have"),
    ],
)
def test_a_password_that_breaks_the_rule_is_refused_with_the_rule(shop, password, told):
    shop.service.set_password(password="before before")
    with pytest.raises(InvalidError) as refused:
        shop.service.set_password(password=password)
    assert told in str(refused.value)
    assert "8 to 80 characters" in str(refused.value)
    shop.log_in("before before", shop.nodes[0])


def test_an_account_that_was_dropped_or_changed_is_made_again(shop):
    shop.service.set_password(password="at the beginning")
    shop.rows("CREATE DATABASE shop")
    rights = shop.rows(f"SHOW GRANTS FOR '{USER}'@'%'")
    shop.rows(f"DROP USER '{USER}'@'%'")
    shop.service.set_password(password="once again")
    for node in shop.nodes:
        shop.log_in("once again", node)
    now = shop.rows(f"SHOW GRANTS FOR '{USER}'@'%'")
    assert [_without_digest(row) for row in now] == [_without_digest(row) for row in rights]
    shop.rows(f"ALTER USER '{USER}'@'%' REQUIRE SSL WITH MAX_USER_CONNECTIONS 1 ACCOUNT LOCK")
    with pytest.raises(WrongStateError, match=r"setting its password .* mends it"):
        shop.cluster.run(shop.load("SELECT 1;"))
    shop.service.set_password(password="and again!")
    for node in shop.nodes:
        shop.log_in("and again!", node)


def _without_digest(row):
    return re.sub(r"'\*[0-9A-F]{40}'", "", row[0])


def test_a_password_is_nowhere_to_be_seen(shop):
    secret = "nowhere-to-be-seen-7"
    shop.service.set_password(password=secret)
    shop.log_in(secret, shop.nodes[-1])
    directory = shop.cluster.directory
    assert files_with(directory, accounts.digest(secret))  # the search does find things
    assert files_with(directory, secret) == []
    shown = [" ".join(p.cmdline()) + str(p.environ()) for p in mine()]
    assert any(str(directory) in each for each in shown)
    assert not [each for each in shown if secret in each]


def mine():
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def files_with(directory, text):
    """Return the files below a directory that have a text in them, whatever else they are."""
    command = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings"]
    found = subprocess.run(
        [*command, "-e", text, str(directory)],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},  # bytes are no text that had to be understood
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.split()


# -- dumps ----------------------------------------------------------------------------------------


def test_what_is_dumped_can_be_loaded_again_whatever_it_is_called(shop):
    hostile = "-x'y\"z` ; DROP ünd \\ 日本"
    name = "`" + hostile.replace("`", "``") + "`"
    shop.rows(f"CREATE DATABASE {name}")
    shop.rows(f"CREATE TABLE {name}.{name} (id INT PRIMARY KEY, t TEXT, b BLOB, p POINT)")
    shop.rows(
        f"INSERT INTO {name}.{name} VALUES (1, 'a;b\\'c\"\\\\ 🍰\\n-- \\0', x'00ff27225c0a', NULL)"
    )
    shop.rows("CREATE DATABASE other CHARACTER SET latin1")
    shop.rows("CREATE TABLE other.child (id INT PRIMARY KEY AUTO_INCREMENT, t CHAR(9))")
    shop.rows("INSERT INTO other.child (t) VALUES ('ä'), ('ö')")
    shop.rows(f"CREATE DEFINER={USER}@`%` VIEW other.v AS SELECT t FROM other.child")
    shop.rows(
        f"CREATE DEFINER={USER}@`%` TRIGGER other.tr BEFORE INSERT ON other.child "
        "FOR EACH ROW SET NEW.t = UPPER(NEW.t)"
    )
    shop.rows(f"CREATE DEFINER={USER}@`%` PROCEDURE other.p() SELECT 1")
    shop.rows(f"CREATE DEFINER={USER}@`%` EVENT other.e ON SCHEDULE EVERY 1 DAY DO SELECT 1")
    found = f"SELECT id, t, b FROM {name}.{name}"
    rows, dump = shop.rows(found), shop.dump()
    assert "Not in it: accounts" in dump.decode()
    assert b"global_priv" not in dump
    shop.drop_all()
    assert shop.cluster.run(shop.load(dump)).note == ""
    for node in range(DATABASES):
        assert shop.rows(found, node) == rows
        assert shop.rows("SELECT * FROM other.v", node) == [("ä",), ("ö",)]
    assert shop.rows("SHOW TRIGGERS FROM other")[0][0] == "tr"
    assert shop.rows("SHOW PROCEDURE STATUS WHERE Db = 'other'")[0][1] == "p"
    assert shop.rows("SHOW EVENTS FROM other")[0][1] == "e"


def test_without_databases_the_dump_says_so_and_is_a_dump_all_the_same(shop):
    dump = shop.dump()
    assert dump.endswith(b"-- There are no databases yet.\n")
    shop.cluster.run(shop.load(dump))


def test_a_dump_is_of_one_moment_whoever_writes_meanwhile(shop):
    shop.rows("CREATE DATABASE bank")
    for number in range(4):
        shop.rows(f"CREATE TABLE bank.a{number} (id INT PRIMARY KEY, money INT)")
        shop.rows(f"INSERT INTO bank.a{number} VALUES (1, 1000)")
        shop.rows(f"CREATE TABLE bank.a{number}pad (id INT PRIMARY KEY, pad LONGTEXT)")
        shop.rows(f"INSERT INTO bank.a{number}pad VALUES (1, REPEAT('x', 3000000))")
    ended, moved = threading.Event(), []

    def move():
        with session(shop.nodes[0].agent.database.directories.socket, seconds=20) as writer:
            while not ended.is_set():
                writer.run("BEGIN")
                writer.run(f"UPDATE bank.a{len(moved) % 4} SET money = money - 7")
                writer.run(f"UPDATE bank.a{(len(moved) + 1) % 4} SET money = money + 7")
                writer.run("COMMIT")
                moved.append(1)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        eventually(lambda: len(moved) > 5)
        pieces = []
        for piece in shop.service.dump().pieces:
            pieces.append(piece)
            time.sleep(0.02)
        meanwhile = len(moved)
    finally:
        ended.set()
        thread.join()
    assert meanwhile > 20
    shop.drop_all()
    shop.cluster.run(shop.load(b"".join(pieces)))
    assert sum(shop.rows(f"SELECT money FROM bank.a{n}")[0][0] for n in range(4)) == 4000


def test_a_large_dump_needs_little_memory_wherever_it_passes(shop):
    shop.rows("CREATE DATABASE big")
    shop.rows("CREATE TABLE big.t (id INT PRIMARY KEY, t LONGTEXT COMPRESSED)")
    shop.rows("INSERT INTO big.t SELECT seq, REPEAT('x', 2000000) FROM big.seq_1_to_50")
    process, size = psutil.Process(), 0
    before = most = process.memory_info().rss
    for piece in shop.service.dump().pieces:
        size += len(piece)
        most = max(most, process.memory_info().rss)
    assert size > 100_000_000
    assert most - before < 40 << 20  # director, manager and agents are all in this process


def test_a_dump_that_breaks_off_never_looks_like_a_whole_one_and_the_log_says_why(shop):
    shop.rows("CREATE DATABASE big")
    shop.rows("CREATE TABLE big.t (id INT PRIMARY KEY, t LONGTEXT COMPRESSED)")
    shop.rows("INSERT INTO big.t SELECT seq, REPEAT('x', 2000000) FROM big.seq_1_to_20")
    pieces = shop.service.dump().pieces
    next(pieces)
    dumper = next(p for p in mine() if p.name() == "mariadb-dump")
    dumper.kill()
    with pytest.raises(ConPaaSError):
        for _ in pieces:
            pass
    assert "the dump broke off: mariadb-dump failed" in shop.service.get_log()
    assert shop.service.dump().pieces  # the next one is none the worse


def test_who_goes_away_in_the_middle_of_a_dump_leaves_nothing_behind(shop):
    shop.rows("CREATE DATABASE big")
    shop.rows("CREATE TABLE big.t (id INT PRIMARY KEY, t LONGTEXT COMPRESSED)")
    shop.rows("INSERT INTO big.t SELECT seq, REPEAT('x', 2000000) FROM big.seq_1_to_20")
    pieces = shop.service.dump().pieces
    next(pieces)
    assert [p for p in mine() if p.name() == "mariadb-dump"]
    del pieces
    eventually(lambda: not [p for p in mine() if p.name() == "mariadb-dump"])


def test_a_view_that_cannot_be_dumped_is_named_before_anything_is_sent(shop):
    shop.rows("CREATE DATABASE shop")
    shop.rows("CREATE TABLE shop.cake (id INT PRIMARY KEY)")
    shop.rows("CREATE VIEW shop.`best cakes` AS SELECT id FROM shop.cake")
    shop.rows("DROP TABLE shop.cake")
    with pytest.raises(InvalidError, match=r"the view .shop.\..best cakes. cannot be dumped"):
        shop.service.dump()


# -- loading --------------------------------------------------------------------------------------


def test_loading_while_the_service_grows_is_refused(shop):
    assert "add_nodes (job" in shop.refused_while_growing
    assert "is still at work" in shop.refused_while_growing


def test_a_dump_of_many_rows_is_the_same_on_all_nodes(shop):
    rows = (f"({n},'{n:040d}','{n * 7919 % 99991}')" for n in range(200_000))
    lines = ["CREATE DATABASE big; USE big;"]
    lines += ["CREATE TABLE t (id INT PRIMARY KEY, a CHAR(60), b INT, KEY (b));"]
    while batch := list(itertools.islice(rows, 5000)):
        lines.append(f"INSERT INTO t VALUES {','.join(batch)};")
    dump = "\n".join(lines).encode()
    report = shop.cluster.run(shop.load(gzip.compress(dump, 1), "big.sql.gz"))
    assert report.size == len(dump)
    (first,), *others = (shop.rows("CHECKSUM TABLE big.t", node) for node in range(DATABASES))
    assert shop.rows("SELECT COUNT(*) FROM big.t") == [(200_000,)]
    assert others == [[first]] * (DATABASES - 1)
    messages = [step.message for step in shop.cluster.steps]
    assert any("loading big.sql.gz" in message for message in messages)
    percents = [step.percent for step in shop.cluster.steps]
    assert percents == sorted(percents)


def test_a_large_file_needs_little_memory_wherever_it_passes(shop, tmp_path):
    path = tmp_path / "large.sql"
    line = b"-- " + b"x" * 1020 + b"\n"
    with path.open("wb") as file:
        file.write(b"CREATE DATABASE late;\n")
        for _ in range(150 * 1024):
            file.write(line)
    process = psutil.Process()
    before = most = process.memory_info().rss
    with path.open("rb") as file:
        for _ in shop.service.load_dump(filename=Upload(file, "large.sql", path.stat().st_size)):
            most = max(most, process.memory_info().rss)
    assert ("late",) in shop.rows("SHOW DATABASES")
    assert most - before < 50 << 20


def test_a_file_that_is_larger_than_allowed_is_refused_with_what_to_do(shop):
    with pytest.raises(TooLargeError, match="the 300 MB that are allowed"):
        shop.service.load_dump(filename=Upload(io.BytesIO(), "large.sql", 301 << 20))
    shop.cluster.run(shop.service.set_mysql_config(dump_limit=1))
    try:
        command = re.escape(f"{shop.service.get_address().command} < shop.sql")
        with pytest.raises(TooLargeError, match=rf"set_mysql_config --dump_limit.*\({command}\)"):
            shop.load(b"-- \n" * (300 << 10))
        command = "gunzip < shop.sql \\| mysql -h HOST -P PORT -u mysqldb -p; get_address"
        with pytest.raises(TooLargeError, match=rf"1 MB .* unpacked.*\({command}"):
            shop.cluster.run(shop.load(gzip.compress(b"-- \n" * (300 << 10))))
    finally:
        shop.cluster.run(shop.service.set_mysql_config(dump_limit=4096))


def test_a_dump_that_fails_leaves_the_service_running_and_says_where(shop):
    with pytest.raises(InvalidError, match=r"line 2.*SELEKT.*has been carried out"):
        shop.cluster.run(shop.load("CREATE DATABASE shop;\nSELEKT 1;\nDROP DATABASE shop;\n"))
    assert shop.cluster.state(1, 1) is State.RUNNING
    assert ("shop",) in shop.rows("SHOW DATABASES", DATABASES - 1)


def test_what_is_no_dump_is_refused_in_the_request(shop):
    with pytest.raises(InvalidError, match="is empty"):
        shop.load(b"")
    with pytest.raises(InvalidError, match="is no SQL text"):
        shop.load(bytes(100))


def test_a_manager_that_is_killed_while_a_dump_is_loaded_has_that_ended(shop):
    sql = "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY); DO SLEEP(60); "
    job = shop.load(sql + "INSERT INTO t VALUES (1);")
    eventually(lambda: any(shop.rows(TELLERS, node) for node in range(DATABASES)))
    cluster = shop.cluster
    machine = next(m for m in cluster.machines.values() if m.manager is not None)
    cluster.restart(machine)
    with pytest.raises(ConPaaSError, match="interrupted by a restart"):
        cluster.run(job)
    eventually(lambda: not any(shop.rows(TELLERS, node) for node in range(DATABASES)))
    eventually(lambda: not [p for p in mine() if p.name() == "mariadb"])
    assert cluster.state(1, 1) is State.RUNNING
    cluster.run(shop.load("USE shop; INSERT INTO t VALUES (2);"))
    assert shop.rows("SELECT id FROM shop.t", 1) == [(2,)]


def test_stopping_the_service_does_not_wait_for_a_dump(shop):
    job = shop.load("CREATE DATABASE shop; DO SLEEP(60); CREATE DATABASE other;")
    eventually(lambda: any(shop.rows(TELLERS, node) for node in range(DATABASES)))
    shop.cluster.run(shop.service.stop())
    with pytest.raises(BusyError, match="cancelled"):
        shop.cluster.run(job)
    assert not [p for p in mine() if p.name() == "mariadb"]
