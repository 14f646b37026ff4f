"""Nodes of a web service come and go, and at no moment a request goes where nobody answers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from conpaas.errors import (
    AgentError,
    BusyError,
    InvalidError,
    WrongStateError,
)
from conpaas.state import State

ALL = ["backend", "proxy", "web"]


def test_the_first_node_carries_everything(theatre: Any) -> None:
    theatre.start()
    assert theatre.roles() == {"node-2": "proxy, web, backend"}
    assert theatre.parts() == {"node-2": ALL}
    (address,) = [node.ip for node in theatre.user.list_nodes()]
    assert theatre.user.get_address().url == f"http://{address}/"
    assert theatre.told[-1] == f"the application is at http://{address}/"


def test_the_first_backend_takes_that_part_off_the_first_node_and_the_last_gives_it_back(
    theatre: Any,
) -> None:
    theatre.start(count=1)
    assert theatre.parts() == {"node-2": ["proxy", "web"], "node-3": ["backend"]}
    assert "backend moves from node-2 (198.18.0.3) to node-3 (198.18.0.4)" in theatre.told
    theatre.add(backend=1)
    assert "backend comes to node-4 (198.18.0.5)" in theatre.told
    theatre.remove(backend=1)
    assert theatre.parts() == {"node-2": ["proxy", "web"], "node-3": ["backend"]}
    theatre.remove()
    assert theatre.parts() == {"node-2": ALL}
    assert "backend moves from node-3 (198.18.0.4) to node-2 (198.18.0.3)" in theatre.told


def test_parts_come_and_go_in_any_order(theatre: Any) -> None:
    theatre.start()
    first = theatre.seen()
    for add in ({"web": 1}, {"proxy": 2, "backend": 1}, {"web": 1, "backend": 2}):
        theatre.add(**add)
        theatre.seen()
    assert theatre.user.get_address().others == ("http://198.18.0.5/", "http://198.18.0.6/")
    for fewer in ({"backend": 2}, {"proxy": 2, "web": 1}, {"web": 1, "backend": 1}):
        theatre.remove(**fewer)
        theatre.seen()
    assert theatre.seen() == first


def test_what_would_leave_a_part_with_nobody_is_refused_before_anything_is_done(
    theatre: Any,
) -> None:
    theatre.start()
    for counts in ({"proxy": 1}, {"proxy": 1, "web": 1}):
        with pytest.raises(InvalidError, match="Cannot add more proxy servers without"):
            theatre.user.add_nodes(nodes=counts)
    with pytest.raises(InvalidError, match="Not enough 'proxy' nodes will be left"):
        theatre.user.remove_nodes(nodes={"proxy": 1})
    with pytest.raises(InvalidError, match="the service has 0"):
        theatre.user.remove_nodes(nodes={"backend": 1})
    with pytest.raises(InvalidError, match="out of range"):
        theatre.user.add_nodes(nodes={"backend": -1})
    theatre.add(proxy=1, web=1, backend=1)
    for role in ("web", "backend"):
        with pytest.raises(InvalidError, match=f"Not enough '{role}' nodes will be left"):
            theatre.user.remove_nodes(nodes={role: 1})
    assert len(theatre.roles()) == 4


def test_proxies_forget_a_node_before_it_stops(theatre: Any, stage: Any) -> None:
    theatre.start(backend=2)
    stage.events.clear()
    theatre.remove(backend=1)
    changes = [(who, what) for who, what, _ in stage.events if what in ("run_proxy", "leave_part")]
    assert changes[:2] == [("198.18.0.3", "run_proxy"), ("198.18.0.5", "leave_part")]


def test_a_node_that_does_not_get_ready_is_given_back_and_all_is_as_before(
    theatre: Any, stage: Any
) -> None:
    theatre.start()
    before = theatre.seen()
    stage.failing["198.18.0.4", "run_backend"] = "php will not start"
    stage.events.clear()
    with pytest.raises(AgentError, match=r"node-3 \(198\.18\.0\.4\): php will not start"):
        theatre.add(backend=1)
    theatre.idle()
    assert theatre.seen() == before
    backends = [how["backends"] for _, what, how in stage.events if what == "run_proxy"]
    assert {"198.18.0.4"} & {address for one in backends for address in one} == set()


def test_a_removal_goes_on_when_another_node_refuses(theatre: Any, stage: Any) -> None:
    theatre.start(web=1, backend=1)
    stage.failing["198.18.0.4", "run_web"] = "the disk is full"
    stage.failing["198.18.0.4", "run_backend"] = "the disk is full"
    theatre.remove(backend=1)
    assert theatre.state is State.RUNNING
    assert len(theatre.roles()) == 2
    stage.failing.clear()
    theatre.cluster.look()
    theatre.idle()
    theatre.seen()


def test_a_removal_goes_on_when_the_node_does_not_answer(theatre: Any) -> None:
    theatre.start(backend=2)
    theatre.cluster.cut(theatre.machine("node-4"))
    theatre.remove(backend=1)
    assert sorted(theatre.roles()) == ["node-2", "node-3"]
    assert theatre.state is State.RUNNING


def test_a_lost_backend_is_out_at_once_and_replaced(theatre: Any, stage: Any) -> None:
    theatre.start(backend=2)
    theatre.cluster.cut(theatre.machine("node-3"))
    stage.events.clear()
    theatre.cluster.look()
    theatre.cluster.wait(lambda: "node-5" in theatre.roles())
    theatre.idle()
    assert sorted(theatre.roles()) == ["node-2", "node-4", "node-5"]
    first = next(how for _, what, how in stage.events if what == "run_proxy")
    assert first["backends"] == ("198.18.0.5",)
    theatre.seen()


def test_the_only_node_is_lost_and_everything_begins_anew(theatre: Any) -> None:
    theatre.start()
    version = theatre.upload()
    theatre.enable(version)
    theatre.cluster.cut(theatre.machine("node-2"))
    theatre.cluster.look()
    theatre.cluster.wait(lambda: list(theatre.roles()) == ["node-3"])
    theatre.idle()
    assert theatre.parts() == {"node-3": ALL}
    (agent,) = theatre.agents().values()
    assert agent.list_code() == [version]
    assert agent.parts["proxy"]["version"] == version


def test_a_node_that_comes_back_takes_its_part_again(theatre: Any) -> None:
    theatre.start(backend=1)
    machine = theatre.machine("node-3")
    theatre.cluster.cut(machine)
    theatre.manager.lose(theatre.manager.book.nodes(1)[1], "the test says so")
    theatre.cluster.cut(machine, silent=False)
    theatre.cluster.look()
    theatre.cluster.wait(lambda: "lost" not in {n.state for n in theatre.user.list_nodes()})
    theatre.idle()
    assert theatre.parts() == {"node-2": ["proxy", "web"], "node-3": ["backend"]}


def test_there_is_an_address_only_while_it_runs(theatre: Any) -> None:
    for _ in range(2):
        with pytest.raises(WrongStateError, match=r"has no address: start it"):
            theatre.user.get_address()
        theatre.start()
        assert theatre.user.get_address().url
        theatre.run(theatre.user.stop())


def test_what_will_move_can_be_asked_before(theatre: Any) -> None:
    theatre.start()
    manager = theatre.manager.host(1).manager
    assert manager.foresee({"backend": 1}, {}) == [
        "backend moves from node-2 (198.18.0.3) to a machine of its own"
    ]


def test_enabling_while_nodes_are_added_is_refused_and_says_what_runs(
    theatre: Any, stage: Any
) -> None:
    theatre.start()
    version, refused = theatre.upload(), []

    def interrupt(number: int) -> None:
        if not refused:
            with pytest.raises(BusyError) as busy:
                theatre.user.enable_code(code_version=version)
            refused.append(str(busy.value))

    stage.before = interrupt
    theatre.add(backend=1)
    assert "add_nodes (job 2) on service 1 is still at work" in refused[0]
    assert theatre.active == "code-default"


def test_a_manager_that_is_killed_at_any_step_goes_on(theatre: Any) -> None:
    theatre.start()
    version = theatre.upload()

    def enable_the_other() -> None:
        theatre.enable(version if theatre.active == "code-default" else "code-default")

    changes = [
        lambda: theatre.add(backend=1, proxy=1, web=1),
        enable_the_other,
        lambda: theatre.remove(backend=1, proxy=1, web=1),
    ]
    expected = []
    for change in changes:
        change()
        expected.append(theatre.seen())
    for step in itertools.count(1):
        was_killed = False
        for change, seen in zip(changes, expected, strict=True):
            active = theatre.active
            was_killed |= theatre.is_killed(change, step)
            theatre.idle()
            assert theatre.seen() == seen, f"killed at step {step}"
            assert (theatre.active != active) is (change is enable_the_other)
            proxies = [agent for agent in theatre.agents().values() if "proxy" in agent.parts]
            assert {p.parts["proxy"]["version"] for p in proxies} == {theatre.active}
        if not was_killed:
            assert step > 4
            break
