"""Databases and balancers come and go, and nobody's query fails for it."""

from __future__ import annotations

from typing import Any

from conpaas_mysql.theatre import Theatre


def test_the_first_start_creates_one_database_and_says_where_it_is(theatre: Theatre) -> None:
    theatre.start()
    assert theatre.primary() == ["mysql-1"]
    (node,) = theatre.user.list_nodes()
    address = theatre.user.get_address()
    assert (address.host, address.port, address.user) == (node.ip, 3306, "mysqldb")
    assert address.command == f"mysql -h {node.ip} -P 3306 -u mysqldb -p"
    assert theatre.told[-1] == f"the databases are at {node.ip}, port 3306"
    assert theatre.volumes() == ["mysql-1-1"]
    assert theatre.write()


def test_databases_and_balancers_come_and_go_without_a_failed_query(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(glb=1)
    failed = []
    stage.before = lambda number: failed.append(number) if not theatre.write() else None
    for more in ({"mysql": 2}, {"glb": 1, "mysql": 1}):
        theatre.add(**more)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]
    for fewer in ({"mysql": 2}, {"glb": 1, "mysql": 1}):
        theatre.remove(**fewer)
    stage.before = lambda number: None
    assert failed == []
    assert theatre.primary() == ["mysql-1"]
    assert theatre.volumes() == ["mysql-1-1"]
    assert theatre.write()
