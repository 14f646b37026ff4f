"""What balancers are told of a database."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymysql
import pytest
from psutil import Process

from conpaas.errors import UnreachableError
from conpaas_mysql import accounts
from conpaas_mysql.client import connect
from conpaas_mysql.galera import Group
from conpaas_mysql.health import Health, is_copied_by_rsync
from conpaas_mysql.mariadb import HEALTH, NAME
from conpaas_mysql.parts import HEALTH_PORT, USER
from conpaas_mysql.testing import Databases, Node, eventually


def ask(node: Node, method: str = "GET") -> tuple[int, str]:
    """Ask as a balancer does."""
    connection = http.client.HTTPConnection(node.address, HEALTH_PORT, timeout=5)
    try:
        connection.request(method, "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def test_a_database_is_well_when_it_takes_queries_and_only_then(databases: Databases) -> None:
    (node,) = databases.grow()
    node.agent.set_user_password(digest=accounts.digest("let me in"))
    # All connections are taken before it has its own: it gets in all the same.
    taken: list[pymysql.Connection[Any]] = []
    try:
        with pytest.raises(UnreachableError, match="1040"):
            while len(taken) < 100:
                socket = node.agent.database.directories.socket
                taken.append(connect(socket, USER, "let me in"))
        eventually(lambda: ask(node) == (200, "Synced"))
    finally:
        for connection in taken:
            connection.close()
    assert ask(node, "HEAD") == (200, "") and ask(node, "OPTIONS")[0] == 200

    # It is no part of the agent, and has none of root's rights.
    node.start_agent()
    pid = node.supervisor.pid(HEALTH)
    assert pid is not None and ask(node)[0] == 200
    status = Path(f"/proc/{pid}/status").read_text()
    assert os.geteuid() != 0 or "Uid:\t0" not in status
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(kilobytes) < 60_000

    # One that hangs counts as gone at once.
    server = node.supervisor.pid(NAME)
    assert server is not None
    os.kill(server, 19)
    try:
        eventually(lambda: ask(node)[0] == 503, 5)
        assert "no answer" in ask(node)[1]
    finally:
        os.kill(server, 18)
    eventually(lambda: ask(node)[0] == 200)

    node.stop()
    eventually(lambda: ask(node)[0] == 503, 3)
    node.bootstrap()
    eventually(lambda: ask(node)[0] == 200)


def judge(group: Group, blocked: bool = False) -> int:
    """Return the status that a member of this kind gets."""
    return Health(Path("nowhere"), "", lambda: blocked)._judge(group)[0]


def member(state: int, primary: bool = True, ready: bool = True, size: int = 3) -> Group:
    """Return a member in some state."""
    return Group(primary, ready, state, "", (), size, "", 1)


def test_states_that_take_queries() -> None:
    assert judge(member(4)) == 200
    assert judge(member(2)) == 200
    assert judge(member(1)) == judge(member(3)) == 503
    assert judge(member(4, primary=False)) == judge(member(4, ready=False)) == 503


def test_one_that_stands_still_for_a_copy_gets_nothing_new_if_there_is_another() -> None:
    assert judge(member(2), blocked=True) == 404
    assert judge(member(2, size=2), blocked=True) == 200
    assert judge(member(4), blocked=True) == 200


def test_a_copy_by_rsync_is_seen_where_it_is_made(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    script = tmp_path / "wsrep_sst_rsync"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)

    def copying(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/sh", str(script), "--role", *words], stdin=subprocess.PIPE)

    for words, seen in (
        (("donor", "--datadir", f"{data}/"), True),
        (("donor", "--datadir", f"{data}/", "--bypass"), False),
        (("joiner", "--datadir", f"{data}/"), False),
    ):
        process = copying(*words)
        try:
            # At first it is a copy of this process.
            eventually(lambda process=process: str(script) in Process(process.pid).cmdline())
            assert is_copied_by_rsync(data) is seen
            assert not is_copied_by_rsync(other)
        finally:
            process.kill()
            process.communicate()
    assert sys.platform == "linux"
