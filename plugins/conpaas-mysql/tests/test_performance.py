"""How nodes are doing, from what they have measured, and what of it is abnormal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conpaas import features
from conpaas.manager.nodes import Node, NodeState
from conpaas.plugins import Plugins
from conpaas.testing import Cluster
from conpaas_mysql.performance import NodePerformance, Rates, performance_of
from conpaas_mysql.rehearsal import RehearsalPlugin, Stage
from conpaas_mysql.theatre import Theatre

HEALTHY = {
    "conpaas_galera_primary": 1.0,
    "conpaas_galera_local_state": 4.0,
    "conpaas_galera_receive_queue": 0.25,
    "conpaas_mysql_connections": 12.0,
    "conpaas_mysql_connections_limit": 151.0,
    "conpaas_node_cpus": 2.0,
    "conpaas_node_memory_bytes": 100e6,
    "conpaas_node_memory_limit_bytes": 200e6,
    "conpaas_node_disk_bytes /": 1e9,
    "conpaas_node_disk_limit_bytes /": 4e9,
    "conpaas_node_disk_bytes /media/mysql-1-1": 3e9,
    "conpaas_node_disk_limit_bytes /media/mysql-1-1": 4e9,
}
BALANCING = {
    "conpaas_glb_clients": 7.0,
    "conpaas_glb_server_up mysql-1": 1.0,
    "conpaas_glb_server_up mysql-2": 1.0,
}


def look(
    role: str = "mysql",
    state: NodeState = NodeState.READY,
    rates: Rates | None = None,
    **changes: float | None,
) -> NodePerformance:
    """Return how a node is doing that is healthy but for some changes; None leaves out."""
    base = dict(HEALTHY if role == "mysql" else BALANCING)
    names = {"server_2": "conpaas_glb_server_up mysql-2", "disk": "conpaas_node_disk_bytes /"}
    for name, value in changes.items():
        full = names.get(name) or next(
            f"conpaas_{group}_{name}"
            for group in ("galera", "mysql", "node", "glb")
            if f"conpaas_{group}_{name}" in base
        )
        if value is None:
            del base[full]
        else:
            base[full] = value
    label = {"mysql": "mount", "glb": "server"}[role]
    figures = {}
    for key, value in base.items():
        metric, _, said = key.partition(" ")
        figures[metric, ((label, said),) if said else ()] = value
    node = Node("node-3", role, "10.0.0.3", "default", 3, state)
    return performance_of(node, figures, rates or Rates(cpu=0.5))


def test_a_healthy_database_has_all_figures_and_nothing_abnormal() -> None:
    rates = Rates(cpu=0.5, network_in=12_000.0, network_out=3_500.0, queries=40.0)
    assert look(rates=rates) == NodePerformance(
        node="node-3",
        role="mysql",
        address="10.0.0.3",
        state="synced",
        cpu=25.0,
        memory=50.0,
        disk=75.0,
        network_in=12.0,
        network_out=3.5,
        queries=40.0,
        connections=12,
        queue=0.25,
    )


def test_a_balancer_counts_new_connections() -> None:
    found = look("glb", rates=Rates(cpu=0.1, sessions=9.0))
    assert (found.state, found.queries, found.connections) == ("balancing", 9.0, 7)
    assert found.abnormal == ()
    assert found.queue is None and found.memory is None


@pytest.mark.parametrize(
    ("how", "marked", "says"),
    [
        ({"rates": Rates(cpu=1.9)}, "cpu", "the processors are busy: 95%, above 85"),
        ({"memory_bytes": 152e6}, "memory", "memory is short: 76%, above 75"),
        ({"disk": 3.6e9}, "disk", "/ is filling up: 90%, above 85"),
        ({"receive_queue": 12.4}, "queue", "it lags behind the others: 12 writes waiting"),
        ({"connections": 140.0}, "connections", "few connections are left: 93%, above 85"),
        ({"primary": 0.0}, "state", "has lost most of the others: it takes no queries"),
        ({"local_state": 2.0}, "state", "another database gets a copy of its data"),
        ({"local_state": 1.0}, "state", "not synced yet: it takes no queries"),
        ({"local_state": 0.0, "primary": 0.0}, "state", "does not answer, or does not run"),
        ({"role": "glb", "server_2": 0.0}, "state", "gives no connections to mysql-2"),
        ({"role": "glb", "clients": None}, "state", "no balancer runs on it"),
        ({"state": NodeState.LOST}, "state", "the node does not answer"),
    ],
)
def test_what_is_abnormal_is_marked_and_told(how: Any, marked: str, says: str) -> None:
    found = look(**how)
    assert found.marked == (marked,)
    (sentence,) = found.abnormal
    assert says in sentence


@pytest.mark.parametrize(
    "how",
    [
        {"rates": Rates(cpu=1.69)},
        {"memory_bytes": 149e6},
        {"disk": 3.3e9},
        {"receive_queue": 7.9},
        {"connections": 128.0},
        {"state": NodeState.LEAVING, "primary": 0.0},
    ],
)
def test_what_is_high_but_not_too_high_is_not(how: Any) -> None:
    assert look(**how).abnormal == ()


def test_several_things_may_be_abnormal() -> None:
    found = look(rates=Rates(cpu=2.0), memory_bytes=199e6, receive_queue=99.0)
    assert found.marked == ("cpu", "memory", "queue")
    assert len(found.abnormal) == 3


def test_a_node_without_figures_is_told_of() -> None:
    node = Node("node-3", "mysql", "10.0.0.3", "default", 3)
    found = performance_of(node, None, Rates())
    assert found.state == "no figures" and found.marked == ("state",)


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    """A service that has not been started."""
    stage = Stage()
    with Cluster(Plugins(rehearsal=RehearsalPlugin(stage), **features.modules())) as cluster:
        yield Theatre(cluster, stage)


def test_every_node_is_a_row_databases_first_and_nobody_is_asked(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    queue = {"conpaas_galera_receive_queue": 20.0, "conpaas_mysql_connections": 5.0}
    theatre.stage.figures[theatre.address("mysql-2")] = queue
    for _ in range(3):
        theatre.cluster.sample(5.0)
    rows = theatre.user.get_performance()
    assert [row.role for row in rows] == ["mysql", "mysql", "mysql", "glb"]
    assert [row.address for row in rows[:2]] == [
        theatre.address("mysql-1"),
        theatre.address("mysql-2"),
    ]
    assert [row.state for row in rows] == ["synced", "synced", "synced", "balancing"]
    assert rows[1].connections == 5 and "queue" in rows[1].marked
    assert rows[0].disk is not None and rows[0].network_in is not None

    theatre.break_machines("mysql-2")
    theatre.cluster.sample(5.0)
    (row,) = [row for row in theatre.user.get_performance() if row.node == rows[1].node]
    assert row.state == "no figures"


def test_a_service_that_is_stopped_has_no_rows(theatre: Theatre) -> None:
    assert theatre.user.get_performance() == []
    theatre.start()
    theatre.run(theatre.user.stop())
    assert theatre.user.get_performance() == []


def test_misalignment_is_a_chart_with_the_mean_of_all_nodes(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    for number, name in enumerate(("mysql-1", "mysql-2")):
        theatre.stage.figures[theatre.address(name)] = {
            "conpaas_galera_receive_queue": 4.0 * number
        }
    for _ in range(4):
        theatre.cluster.sample(5.0)
    found = {(figure.chart, figure.line): figure.highest for figure in theatre.user.get_metrics()}
    assert found["Galera mean misalignment", "mean of all"] == 2.0
    assert ("Processor", "node-2") in found or ("Processor", "node-1") in found
