"""A database alone: how it begins, ends, is killed and comes back."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from conpaas.errors import AgentError
from conpaas.rpc import finish
from conpaas_mysql import starting
from conpaas_mysql.directories import Directories
from conpaas_mysql.mariadb import NAME
from conpaas_mysql.parts import DatabaseStatus
from conpaas_mysql.testing import Databases, Node, eventually


def is_ready(node: Node) -> bool:
    return node.status().ready


def directories(node: Node) -> Directories:
    return Directories(node.root, node.volume)


def test_a_node_that_was_told_nothing_has_no_database(databases: Databases) -> None:
    node = databases.machine()
    assert node.status() == DatabaseStatus(False, False, False, 0, False, (), "", -1, False, 0)
    with pytest.raises(AgentError, match="has not been told to run a database"):
        node.join()
    node.stop()


def test_a_new_database_takes_queries_and_keeps_what_it_is_told(databases: Databases) -> None:
    (node,) = databases.grow()
    status = node.status()
    assert status.has_data and status.is_running and status.is_primary and status.ready
    assert (status.state, status.members, status.trouble) == (4, ("mysql-1",), "")
    assert not status.outdated and status.free > 0 and status.used > 30 << 20
    assert 0 <= time.time() - status.started < 60
    node.rows("CREATE DATABASE shop")
    node.rows("CREATE TABLE shop.things (id INT PRIMARY KEY)")
    node.rows("INSERT INTO shop.things VALUES (1)")
    grown = node.status()
    assert grown.cluster == status.cluster and grown.position == status.position + 3

    with pytest.raises(AgentError, match="data on the volume already"):
        node.create()
    node.stop()
    stopped = node.status()
    assert stopped.has_data and not stopped.is_running and not stopped.ready
    assert (stopped.cluster, stopped.position, stopped.started) == (status.cluster, -1, 0)
    position = node.agent.recover_position()
    assert (position.cluster, position.number, position.was_last) == (
        status.cluster,
        grown.position,
        True,
    )
    with pytest.raises(AgentError, match="data on the volume already"):
        node.create()

    node.bootstrap()
    assert node.rows("SELECT id FROM shop.things") == [(1,)]
    assert node.status().cluster == status.cluster
    node.bootstrap()  # already so: nothing happens
    node.promote()
    with pytest.raises(AgentError, match="the database runs"):
        node.agent.recover_position()


def test_a_killed_database_is_back_by_itself_and_has_lost_nothing(databases: Databases) -> None:
    (node,) = databases.grow()
    node.rows("CREATE DATABASE shop")
    node.rows("CREATE TABLE shop.things (id INT PRIMARY KEY)")
    for number in range(3):
        node.rows(f"INSERT INTO shop.things VALUES ({number})")
        pid = node.supervisor.pid(NAME)
        node.kill()
        eventually(lambda old=pid: node.supervisor.pid(NAME) not in (None, old))
        eventually(lambda: is_ready(node))
    assert node.rows("SELECT id FROM shop.things") == [(0,), (1,), (2,)]
    assert len(starting.starts(directories(node))) == 4


def test_a_killed_database_tells_its_position_when_its_record_of_the_group_is_lost(
    databases: Databases,
) -> None:
    (node,) = databases.grow()
    node.rows("CREATE DATABASE shop")
    status = node.status()
    node.kill(stay_down=True)
    (node.volume / "data/gvwstate.dat").unlink()
    down = node.status()
    assert (down.has_data, down.is_running, down.position) == (True, False, -1)
    position = node.agent.recover_position()
    assert (position.cluster, position.number) == (status.cluster, status.position)
    assert not position.was_last

    node.bootstrap()
    assert node.status().cluster == status.cluster
    assert ("shop",) in node.rows("SHOW DATABASES LIKE 'shop'")


@pytest.mark.parametrize("steps", [1, 2])
def test_a_creation_that_is_cut_off_is_finished_by_the_next_agent(
    databases: Databases, steps: int
) -> None:
    node = databases.machine()
    databases.configure()
    list(itertools.islice(node.agent.create_database(), steps))
    node.start_agent()
    node.agent.on_boot()
    node.create()
    assert node.status().ready
    with pytest.raises(AgentError, match="data on the volume already"):
        node.create()


def test_half_a_new_database_is_begun_anew(databases: Databases) -> None:
    node = databases.machine()
    databases.configure()
    half = node.volume / "data.new"
    (half / "mysql").mkdir(parents=True)
    (half / "ibdata1").write_bytes(b"half")
    assert not node.status().has_data
    node.create()
    assert node.status().ready and not half.exists()


def test_a_server_that_cannot_run_is_told_with_its_last_words(databases: Databases) -> None:
    node = databases.machine()
    databases.configure(**{"no_such_setting": "1"})
    node.volume.joinpath("data").mkdir()
    with pytest.raises(AgentError, match=r"(?s)no database can be set up.*no_such_setting"):
        node.create()
    assert not node.status().has_data
    databases.configure()
    node.create()
    node.stop()
    databases.configure(**{"no_such_setting": "1"})
    with pytest.raises(AgentError, match=r"does not start with no_such_setting = 1: .*unknown"):
        node.bootstrap()
    assert not node.status().is_running
    node.agent.database.start()
    eventually(lambda: "ends again and again" in node.status().trouble)
    databases.configure()
    node.bootstrap()
    assert node.status().trouble == ""


def test_nothing_is_written_where_no_volume_is_mounted(databases: Databases) -> None:
    (node,) = databases.grow()
    node.stop()
    away = node.volume.with_name("away")
    node.volume.rename(away)
    status = node.status()
    assert status.trouble == "the volume mysql-1 is not mounted" and not status.has_data
    with pytest.raises(AgentError, match="the volume mysql-1 is not mounted"):
        node.join()
    with pytest.raises(AgentError, match="the volume mysql-1 is not mounted"):
        databases.configure()
    node.supervisor.start(NAME)
    eventually(lambda: "is not mounted" in node.agent.database.last_words())
    assert not node.volume.exists()
    away.rename(node.volume)
    node.bootstrap()
    assert node.status().ready


def test_a_rebooted_machine_has_its_database_again(databases: Databases) -> None:
    (node,) = databases.grow()
    node.kill(stay_down=True)
    # What is in /run is gone, and the old process number is somebody else's by now.
    for path in sorted((node.root / "run").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    node.start_agent()
    node.agent.on_boot()
    eventually(lambda: is_ready(node))


def test_a_database_that_was_stopped_stays_so_when_the_agent_comes_back(
    databases: Databases,
) -> None:
    (node,) = databases.grow()
    node.stop()
    node.start_agent()
    node.agent.on_boot()
    assert not node.status().is_running
    assert node.status().trouble == ""


def test_a_hanging_server_does_not_hold_up_its_status(databases: Databases) -> None:
    (node,) = databases.grow()
    pid = node.supervisor.pid(NAME)
    assert pid is not None
    os.kill(pid, 19)
    try:
        begun = time.monotonic()
        status = node.status()
        assert time.monotonic() - begun < 4
        assert status.is_running and not status.ready
        assert "does not answer" in status.trouble
    finally:
        os.kill(pid, 18)
    eventually(lambda: is_ready(node))


def test_a_stale_request_to_begin_a_cluster_is_not_obeyed_later(databases: Databases) -> None:
    (node,) = databases.grow()
    node.stop()
    starting.ask_for_bootstrap(directories(node))
    finish_or_fail(node)
    # It waits for others, for nobody has told it to begin.
    assert not node.status().is_primary
    node.bootstrap()
    assert node.status().ready


def finish_or_fail(node: Node) -> None:
    job = node.agent.join_database()
    next(job)
    for progress in job:
        if "waits" in progress.message or "gets the data" in progress.message:
            job.close()
            return


def test_sessions_end_what_they_are_doing_before_the_server_ends(databases: Databases) -> None:
    import threading

    (node,) = databases.grow()
    node.rows("CREATE DATABASE shop")
    node.rows("CREATE TABLE shop.things (id INT PRIMARY KEY)")
    outcome: list[object] = []

    def work() -> None:
        try:
            with node.sql() as connection:
                connection.run("BEGIN")
                connection.run("INSERT INTO shop.things VALUES (1)")
                connection.rows("SELECT SLEEP(2)")
                connection.run("COMMIT")
            outcome.append("committed")
        except Exception as error:  # the test says what it was
            outcome.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    eventually(
        lambda: "SLEEP" in str(node.rows("SHOW FULL PROCESSLIST")),
    )
    messages = [p.message for p in node.agent.stop_database()]
    worker.join()
    assert outcome == ["committed"]
    assert any("in the middle of something" in message for message in messages)


def test_files_with_secrets_are_for_root_and_the_server_only(databases: Databases) -> None:
    (node,) = databases.grow()
    for name in ("etc/conpaas-mysql/key.pem", "etc/conpaas-mysql/mariadb.cnf"):
        assert (node.root / name).stat().st_mode & 0o007 == 0
    for path in (node.root / "run").rglob("*.cnf"):
        assert path.stat().st_mode & 0o077 == 0
    pid = node.supervisor.pid(NAME)
    words = Path(f"/proc/{pid}/cmdline").read_text()
    assert databases.secrets.transfer_password not in words
    assert finish(node.agent.stop_database()) is None
