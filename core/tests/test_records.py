"""What must not be forgotten is kept, whatever happens at any moment."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from conpaas.records import SHARED_STEPS, Records, Store

STEPS = ("CREATE TABLE thing (name TEXT PRIMARY KEY)",)


@pytest.fixture
def records(tmp_path):
    opened = Records(tmp_path / "records.db", STEPS)
    yield opened
    opened.close()


def names(records):
    return [row["name"] for row in records.execute("SELECT name FROM thing ORDER BY rowid")]


def add(records, name):
    return records.insert("INSERT INTO thing VALUES (?)", name)


def test_a_transaction_is_kept_as_a_whole(records):
    with records.transaction():
        add(records, "a")
        add(records, "b")
    assert names(records) == ["a", "b"]


def test_a_transaction_that_fails_leaves_nothing(records):
    with pytest.raises(RuntimeError), records.transaction():
        add(records, "a")
        raise RuntimeError
    assert names(records) == []
    add(records, "b")
    assert names(records) == ["b"]


def test_a_transaction_inside_another_is_a_part_of_it(records):
    with pytest.raises(RuntimeError), records.transaction():
        with records.transaction():
            add(records, "a")
        raise RuntimeError
    assert names(records) == []


def test_a_statement_that_fails_leaves_the_transaction_to_the_caller(records):
    add(records, "a")
    with records.transaction():
        with pytest.raises(sqlite3.IntegrityError):
            add(records, "a")
        add(records, "b")
    assert names(records) == ["a", "b"]


def test_a_transaction_that_cannot_be_committed_does_not_block_the_next(tmp_path):
    steps = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY);"
        "CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    records = Records(tmp_path / "r.db", steps)
    with pytest.raises(sqlite3.IntegrityError), records.transaction():
        records.execute("INSERT INTO b VALUES (7)")
    with records.transaction():
        records.execute("INSERT INTO a VALUES (1)")
    assert len(records.execute("SELECT * FROM a")) == 1
    assert len(records.execute("SELECT * FROM b")) == 0
    records.close()


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from conpaas.records import Records
    records = Records(Path(sys.argv[1]), ("CREATE TABLE thing (name TEXT PRIMARY KEY)",))
    records.insert("INSERT INTO thing VALUES ('whole')")
    with records.transaction():
        for number in range(int(sys.argv[2])):
            records.insert("INSERT INTO thing VALUES (?)", f"half {number}")
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("statements", [0, 3])
def test_a_process_that_is_killed_between_two_statements_leaves_no_half(tmp_path, statements):
    path = tmp_path / "records.db"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(statements)]
    assert subprocess.run(command, check=False).returncode == -9
    again = Records(path, STEPS)
    assert names(again) == ["whole"]
    again.close()


def test_threads_never_see_or_make_half_a_change(records):
    wrong = []

    def work(me):
        for number in range(50):
            with records.transaction():
                add(records, f"{me} {number} a")
                if len(names(records)) % 2 != 1:
                    wrong.append(me)
                add(records, f"{me} {number} b")

    def look():
        wrong.extend("look" for _ in range(200) if len(names(records)) % 2)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(names(records)) == 300


def test_each_insert_gets_its_own_number_with_many_threads(tmp_path):
    records = Records(
        tmp_path / "r.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)",)
    )
    got = []
    threads = [
        threading.Thread(
            target=lambda: got.extend(
                records.insert("INSERT INTO t DEFAULT VALUES") for _ in range(50)
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 201))
    records.close()


def test_a_snapshot_is_a_file_that_can_be_opened(records, tmp_path):
    add(records, "a")
    content = records.snapshot()
    add(records, "b")
    (tmp_path / "copy.db").write_bytes(content)
    copy = Records(tmp_path / "copy.db", STEPS)
    assert names(copy) == ["a"]
    add(copy, "c")
    assert names(records) == ["a", "b"]
    copy.close()


def test_a_snapshot_waits_for_a_change_that_is_being_made(records, tmp_path):
    began, go_on, taken = threading.Event(), threading.Event(), []

    def change():
        with records.transaction():
            add(records, "a")
            began.set()
            go_on.wait(10)
            add(records, "b")

    def take():
        taken.append(records.snapshot())

    changing = threading.Thread(target=change)
    changing.start()
    began.wait(10)
    taking = threading.Thread(target=take)
    taking.start()
    taking.join(0.05)
    assert taking.is_alive()
    go_on.set()
    changing.join()
    taking.join()
    (tmp_path / "copy.db").write_bytes(taken[0])
    copy = Records(tmp_path / "copy.db", STEPS)
    assert names(copy) == ["a", "b"]
    copy.close()


# -- steps ----------------------------------------------------------------------------------------


def test_steps_are_applied_once_and_in_order(tmp_path):
    path = tmp_path / "r.db"
    first = Records(path, STEPS)
    add(first, "old")
    first.close()
    more = (*STEPS, "ALTER TABLE thing ADD COLUMN size INTEGER DEFAULT 7", "CREATE TABLE b (x)")
    for _ in range(2):
        again = Records(path, more)
        assert [tuple(row) for row in again.execute("SELECT * FROM thing")] == [("old", 7)]
        assert again.execute("PRAGMA user_version")[0][0] == 3
        again.close()


def test_a_step_that_fails_leaves_those_before_it_and_nothing_of_itself(tmp_path):
    path = tmp_path / "r.db"
    with pytest.raises(sqlite3.OperationalError):
        Records(path, (*STEPS, "CREATE TABLE b (x); CREATE TABLE broken ("))
    mended = Records(path, (*STEPS, "CREATE TABLE b (x)"))
    assert mended.execute("SELECT * FROM b") == []
    mended.close()


def test_records_made_by_a_newer_version_are_refused(tmp_path):
    path = tmp_path / "r.db"
    Records(path, (*STEPS, "CREATE TABLE b (x)")).close()
    with pytest.raises(RuntimeError, match="newer"):
        Records(path, STEPS)


def test_records_may_be_kept_in_memory():
    records = Records(None)
    Store(records, "x")["a"] = 1
    assert dict(Store(records, "x")) == {"a": 1}
    records.close()


# -- the store ------------------------------------------------------------------------------------

KEYS = st.text("abcä😀 '\"%_", max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=3,
)


class StoreIsADictionary(RuleBasedStateMachine):
    """A store behaves as a dictionary, and another scope's is another one."""

    def __init__(self):
        super().__init__()
        self.records = Records(None)
        self.store, self.other = Store(self.records, "a"), Store(self.records, "b")
        self.other["kept"] = 1
        self.model = {}

    @rule(key=KEYS, value=VALUES)
    def assign(self, key, value):
        self.store[key] = self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key):
        if key in self.model:
            del self.store[key], self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.store[key]

    @rule(key=KEYS, value=VALUES)
    def set_default(self, key, value):
        assert self.store.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(key=KEYS)
    def pop(self, key):
        assert self.store.pop(key, "none") == self.model.pop(key, "none")

    @rule()
    def clear(self):
        self.store.clear()
        self.model.clear()

    @invariant()
    def same(self):
        assert dict(self.store) == self.model
        assert list(self.store) == sorted(self.model)
        assert len(self.store) == len(self.model)
        assert dict(self.other) == {"kept": 1}

    def teardown(self):
        self.records.close()


StoreIsADictionary.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestStoreIsADictionary = StoreIsADictionary.TestCase


def test_what_is_no_json_is_refused_and_the_old_value_stays(tmp_path):
    records = Records(tmp_path / "r.db", SHARED_STEPS)
    store = Store(records, "a")
    store["x"] = 1
    with pytest.raises(TypeError):
        store["x"] = object()
    assert store["x"] == 1
    records.close()


def test_a_value_survives_the_process(tmp_path):
    first = Records(tmp_path / "r.db")
    Store(first, "a")["x"] = {"deep": [1, None, "ä😀"]}
    first.close()
    again = Records(tmp_path / "r.db")
    assert Store(again, "a")["x"] == {"deep": [1, None, "ä😀"]}
    again.close()


def test_others_on_the_machine_cannot_read_the_file(tmp_path):
    old = os.umask(0o022)
    try:
        Records(tmp_path / "r.db").close()
    finally:
        os.umask(old)
    assert (tmp_path / "r.db").stat().st_mode & 0o077 == 0
