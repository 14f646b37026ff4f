"""Clients append through the balancer while machines and servers die, on real machines.

The same in a minute, with servers only: ``plugins/conpaas-mysql/tests/test_list_append.py``.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from e2e import Nutshell, wait_for
from hosted import Hosted

from conpaas_mysql.appending import Appenders, is_synced, read_lists

PASSWORD = "correct horse 7"
#: Seconds within which whoever was killed has come back, or somebody in its place.
PATIENCE = 240

pytestmark = pytest.mark.long


class Deaths:
    """Ways in which databases die.

    Args:
        site: The MySQL service.
        seed: Of what is random.
    """

    def __init__(self, site: Hosted, seed: int) -> None:
        self._site = site
        self._chance = random.Random(seed)

    def ways(self) -> list[Callable[[], str]]:
        """Return twelve ways to kill somebody, of which each tells what it has done."""
        ways = [self._server] * 6 + [self._machine] * 4 + [self._all] * 2
        self._chance.shuffle(ways)
        return ways

    def _server(self) -> str:
        node = self._chance.choice(self._nodes())
        self._servers(node)[0].kill()
        return f"the server of {node}"

    def _machine(self) -> str:
        node = self._chance.choice(self._nodes())
        self._site.kill(node)
        return f"the machine of {node}"

    def _all(self) -> str:
        for server in [server for node in self._nodes() for server in self._servers(node)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()
        return "all servers"

    def _nodes(self) -> list[str]:
        return [str(node["agent_id"]) for node in self._site.nodes("mysql")]

    def _servers(self, node: str) -> list[psutil.Process]:
        machine = self._site.machine(node)
        init = self._site.nutshell.cloud.driver.instances.init(machine.id)
        assert init is not None
        children = psutil.Process(init.pid).children(recursive=True)
        return [process for process in children if process.name() == "mariadbd"]


def is_whole(site: Hosted) -> bool:
    """Whether three databases are there, and each is one of three."""
    nodes = site.nodes()
    if sorted(node["role"] for node in nodes) != ["glb", "mysql", "mysql", "mysql"]:
        return False
    if {node["state"] for node in nodes} != {"ready"}:
        return False
    databases = [node["ip"] for node in nodes if node["role"] == "mysql"]
    return all(is_synced(address, "mysqldb", PASSWORD, of=3) for address in databases)


def test_what_was_acknowledged_is_there_once_on_every_database_whoever_died(
    nutshell: Nutshell, running: int, tmp_path: Path
) -> None:
    site = Hosted(nutshell, running, tmp_path, type="mysql")
    site.ok("start")
    site.ok("set_password", given=f"{PASSWORD}\n{PASSWORD}\n")
    site.ok("add_nodes --mysql 2 --glb 1")
    host = site.rows("get_address")["host"]
    died: list[str] = []
    with Appenders(host, "mysqldb", PASSWORD) as appenders:
        for kill in Deaths(site, seed=11).ways():
            appenders.go_on(50)
            died.append(kill())
            appenders.go_on(50, PATIENCE)
            wait_for(f"all databases after the death of {died}", lambda: is_whole(site), PATIENCE)
            assert site.settle() == "RUNNING"
        appenders.go_on(50)
    contents = [read_lists(node["ip"], "mysqldb", PASSWORD) for node in site.nodes("mysql")]
    assert [appenders.judge(content) for content in contents] == [[], [], []], died
    assert contents[0] == contents[1] == contents[2]
    assert site.rows("get_address")["host"] == host
