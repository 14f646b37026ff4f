"""Web nodes ask backends for files: whom they ask, and from when until when."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from conpaas.errors import AgentError


def test_a_node_that_carries_both_parts_asks_nobody(theatre: Any) -> None:
    theatre.start()
    assert theatre.asks() == {"node-2": []}


def test_web_nodes_ask_all_backends_on_other_machines(theatre: Any) -> None:
    theatre.start()
    theatre.add(web=1)
    assert theatre.asks() == {"node-3": ["node-2"]}, "the first proxy is the backend"
    theatre.add(backend=2, web=1)
    others = ["node-4", "node-5"]
    assert theatre.asks() == {"node-3": others, "node-6": others}
    theatre.remove(web=2)
    assert theatre.asks() == {"node-2": others}, "the first proxy is the web node"
    theatre.remove(backend=2)
    assert theatre.asks() == {"node-2": []}


def test_a_backend_is_asked_no_more_before_it_stops(theatre: Any, stage: Any) -> None:
    theatre.start(web=1, backend=2)
    begin = len(stage.events)
    theatre.remove(backend=1)
    events = stage.events[begin:]
    told = next(n for n, (_, what, how) in enumerate(events) if what == "run_web")
    assert events[told][2]["asked"] == (theatre.address("node-4"),)
    left = [(n, how) for n, (_, what, how) in enumerate(events) if what == "leave_part"]
    assert [how for _, how in left] == ["backend", "files"]
    assert told < left[0][0]


def test_a_backend_gives_files_before_it_is_asked(theatre: Any, stage: Any) -> None:
    theatre.start(web=1)
    begin = len(stage.events)
    theatre.add(backend=1)
    events = [(what, address) for address, what, _ in stage.events[begin:]]
    gives, asks = theatre.address("node-4"), theatre.address("node-3")
    assert events.index(("run_files", gives)) < events.index(("run_web", asks))


def test_it_is_switched_off_and_on_again(theatre: Any) -> None:
    theatre.start(web=1, backend=1)
    assert theatre.user.get_web_config().ask_backends == "on"
    theatre.run(theatre.user.set_web_config(ask_backends="off"))
    assert theatre.user.get_web_config().ask_backends == "off"
    assert theatre.asks() == {"node-3": []}
    theatre.run(theatre.user.set_web_config(ask_backends="on"))
    assert theatre.asks() == {"node-3": ["node-4"]}


def test_it_stays_as_it_was_when_a_backend_cannot_give_files(theatre: Any, stage: Any) -> None:
    theatre.start(web=1, backend=1)
    theatre.run(theatre.user.set_web_config(ask_backends="off"))
    stage.failing[(theatre.address("node-4"), "run_files")] = "the disk is full"
    with pytest.raises(AgentError, match="the disk is full"):
        theatre.run(theatre.user.set_web_config(ask_backends="on"))
    assert theatre.user.get_web_config().ask_backends == "off"
    assert theatre.asks() == {"node-3": []}


def test_backends_know_which_directories_are_private_and_web_nodes_which_are_kept(
    theatre: Any,
) -> None:
    theatre.start(web=1, backend=1)
    theatre.run(
        theatre.user.set_web_config(kept_directories="uploads,conf", private_directories="conf")
    )
    agents = theatre.agents()
    assert agents["node-4"].parts["files"]["private"] == ["conf"]
    assert agents["node-3"].parts["web"]["kept"] == ["conf", "uploads"]
    theatre.run(theatre.user.set_web_config(ask_backends="off"))
    assert agents["node-3"].parts["web"]["kept"] == []


def test_whenever_the_manager_is_killed_the_same_ones_are_asked_in_the_end(theatre: Any) -> None:
    theatre.start(web=1, backend=1)
    for step in itertools.count(1, 2):
        off = theatre.is_killed(
            lambda: theatre.run(theatre.user.set_web_config(ask_backends="off")), step
        )
        theatre.asks()
        theatre.run(theatre.user.set_web_config(ask_backends="on"))
        assert theatre.asks() == {"node-3": ["node-4"]}
        if not off:
            break
