"""Servers that are thrown away leave nothing, however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conpaas.errors import InvalidError
from conpaas_mysql.client import session
from conpaas_mysql.testing import eventually
from conpaas_mysql.throwaway import clear_away, examine, throwaway

KILLED = """
import sys, time
from pathlib import Path
from conpaas_mysql.throwaway import throwaway
with throwaway(Path(sys.argv[1])) as socket:
    print(socket, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def base(place: Path) -> Path:
    path = place / "trials"
    path.mkdir(exist_ok=True)
    return path


def test_a_trial_reads_every_table_and_tells_how_much_there_is(base: Path) -> None:
    with throwaway(base) as socket:
        assert examine(socket) == "0 databases, 0 tables, 0 rows"
        with session(socket, seconds=10) as connection:
            assert connection.variable("wsrep_on") == "OFF"
            assert connection.variable("skip_networking") == "ON"
            connection.run("CREATE DATABASE `a``b`")
            connection.run("CREATE TABLE `a``b`.`t %s` (id INT PRIMARY KEY)")
            connection.run("INSERT INTO `a``b`.`t %s` SELECT seq FROM mysql.seq_1_to_1234")
            connection.run("CREATE VIEW `a``b`.v AS SELECT * FROM `a``b`.`t %s`")
        assert examine(socket) == "1 database, 2 tables, 1,234 rows"
        with session(socket, seconds=10) as connection:
            connection.run("CREATE DATABASE old")
            connection.run("CREATE TABLE old.t ENGINE=MyISAM SELECT seq FROM mysql.seq_1_to_9999")
            connection.run("FLUSH TABLES")
        (socket.parent / "data/old/t.MYD").write_bytes(b"")
        with pytest.raises(InvalidError, match=r"the backup is broken: `old`\.`t`: "):
            examine(socket)
    assert list(base.iterdir()) == []


def test_a_trial_goes_with_the_process_that_began_it_however_that_ends(base: Path) -> None:
    began = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(base)], stdout=subprocess.PIPE, text=True
    )
    assert began.stdout is not None
    socket = Path(began.stdout.readline().strip())
    pid = int((socket.parent / "pid").read_text())
    began.send_signal(signal.SIGKILL)
    began.wait()
    began.stdout.close()
    eventually(lambda: not list(base.iterdir()), 10.0)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), 10.0)


def test_what_a_dead_machine_left_is_cleared_away_and_nothing_else(base: Path) -> None:
    left, other = base / "trial-left", base / "data"
    for path in (left, other):
        path.mkdir()
        (path / "file").write_text("")
    clear_away(base)
    assert list(base.iterdir()) == [other]
    (other / "file").unlink()
    other.rmdir()
