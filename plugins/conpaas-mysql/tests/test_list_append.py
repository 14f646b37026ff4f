"""Clients append through the balancer while databases are killed: nothing acknowledged is lost."""

from __future__ import annotations

import random
from pathlib import Path

from conpaas_mysql.accounts import digest
from conpaas_mysql.appending import Appenders, read_lists
from conpaas_mysql.balancer_testing import BalancerNode
from conpaas_mysql.parts import USER
from conpaas_mysql.testing import Databases, eventually

_PASSWORD = "correct horse 7"
_KILLS = 3


def test_what_was_acknowledged_is_there_once_on_every_database_whoever_was_killed(
    databases: Databases, place: Path
) -> None:
    databases.grow(3)
    databases.nodes[0].agent.set_user_password(digest(_PASSWORD))
    root = place / "balancer"
    root.mkdir()
    balancer = BalancerNode(root)
    chance = random.Random(7)
    try:
        balancer.run(*databases.nodes)
        with Appenders(balancer.address, USER, _PASSWORD, rate=10) as appenders:
            for _ in range(_KILLS):
                appenders.go_on(30)
                chance.choice(databases.nodes).kill()
                appenders.go_on(30)
                eventually(lambda: all(n.status().state == 4 for n in databases.nodes), 60)
            appenders.go_on(30)
    finally:
        balancer.close()
    contents = [read_lists(node.address, USER, _PASSWORD) for node in databases.nodes]
    assert [appenders.judge(content) for content in contents] == [[], [], []]
    assert contents[0] == contents[1] == contents[2]


def test_the_judge_of_appends_sees_what_is_lost_doubled_or_strange() -> None:
    appenders = Appenders("127.0.0.1", USER, "", lists=1)
    appenders.acknowledged["list-0"] |= {"0.1", "0.2"}
    appenders.doubtful["list-0"].add("0.3")
    assert appenders.judge({"list-0": "0.1 0.2 "}) == []
    assert appenders.judge({"list-0": "0.3 0.1 0.2 "}) == []
    assert "lacks 1, such as ['0.2']" in appenders.judge({"list-0": "0.1 "})[0]
    assert "more than once" in appenders.judge({"list-0": "0.1 0.2 0.3 0.3 "})[0]
    assert "nobody appended" in appenders.judge({"list-0": "0.1 0.2 0.4 "})[0]
    assert appenders.judge({}) == ["there are the lists []"]
