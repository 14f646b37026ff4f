"""What the code wrote is saved when the service stops, and comes back when it starts."""

from __future__ import annotations

from typing import Any

import pytest

from conpaas.errors import ConPaaSError, UnsavedError, WrongStateError
from conpaas.state import State


@pytest.fixture
def writing(theatre: Any) -> Any:
    """A service that has not been started, whose code writes into a directory that is kept."""
    theatre.run(theatre.user.set_web_config(kept_directories="data"))
    return theatre


def kept(theatre: Any) -> dict[str, dict[str, str]]:
    """Return what each node keeps: texts by name, by the roles of the nodes."""
    roles = theatre.roles()
    found = sorted((roles[node], agent.kept) for node, agent in theatre.agents().items())
    return {
        f"{role} {number}": {name: text for name, (_, text) in files.items()}
        for number, (role, files) in enumerate(found, 1)
    }


def only(theatre: Any) -> Any:
    (agent,) = theatre.agents().values()
    return agent


def backups(theatre: Any) -> list[tuple[str, str]]:
    return [(backup.kind, backup.place) for backup in theatre.user.list_backups()]


def test_it_is_there_after_a_stop_and_a_start(writing: Any) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    writing.run(writing.user.stop())
    writing.start()
    assert only(writing).kept == {"data/cat": [1, "meow"]}
    assert "what the code wrote is back" in writing.user.get_history()[-2].reason
    assert backups(writing) == [("before stop", "manager")]


def test_each_backend_has_what_any_had_and_the_younger_of_two(writing: Any) -> None:
    writing.start(backend=2, web=1)
    agents = writing.agents()
    agents["node-4"].write("data/a", "old", 1)
    agents["node-4"].write("data/b", "mine", 1)
    agents["node-3"].write("data/a", "new", 2)
    writing.run(writing.user.stop())
    writing.start()
    everything = {"data/a": "new", "data/b": "mine"}
    assert kept(writing) == {
        "backend 1": everything, "backend 2": everything, "proxy 3": {}, "web 4": everything,
    }  # fmt: skip


def test_what_was_deleted_since_does_not_come_back(writing: Any) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    writing.run(writing.user.stop())
    writing.start()
    only(writing).store["files"] = {}
    writing.run(writing.user.stop())
    writing.start()
    assert only(writing).kept == {}
    assert len(backups(writing)) == 1


def test_nothing_is_lost_whenever_the_manager_is_killed(writing: Any) -> None:
    writing.start(backend=2)
    number = 0
    for change in (writing.user.stop, writing.user.start):
        for step in range(1, 40):
            if writing.state is State.RUNNING:
                number += 1
                writing.agents()[max(writing.roles())].write(f"data/{number}", "x", number)
            if not writing.is_killed(lambda change=change: writing.run(change()), step):
                break
            undo = writing.user.start if writing.state is State.STOPPED else writing.user.stop
            if change is writing.user.stop or writing.state is State.RUNNING:
                writing.run(undo())
        if writing.state is State.RUNNING:
            writing.run(writing.user.stop())
    writing.start()
    names = {f"data/{n}" for n in range(1, number + 1)}
    assert number >= 8, "there are as many moments at least"
    for agent in writing.agents().values():
        assert set(agent.kept) == names


def test_while_it_stops_the_code_writes_nothing_more(writing: Any, stage: Any) -> None:
    writing.start(backend=1)
    running: list[list[str]] = []

    def look(number: int) -> None:
        if stage.events[number - 1][1] == "pack_kept":
            running.extend(sorted(agent.parts) for agent in stage.agents.values())

    stage.before = look
    writing.run(writing.user.stop())
    assert running == [[], []]


def test_what_is_too_large_is_said_before_anything_is_done(writing: Any) -> None:
    writing.start()
    only(writing).write("data/film", "x" * 100, 1)
    writing.manager.host(1).backup_limit = 50
    parts = writing.parts()
    with pytest.raises(UnsavedError, match=r"have 100 bytes, and the manager keeps 50: delete"):
        writing.user.stop()
    assert (writing.state, writing.parts()) == (State.RUNNING, parts)
    writing.run(writing.user.stop(unsaved=True))
    assert writing.state is State.STOPPED


def test_a_backend_that_does_not_answer_keeps_the_service_from_stopping(writing: Any) -> None:
    writing.start(backend=2)
    writing.cluster.cut(writing.machine("node-4"))
    with pytest.raises(UnsavedError, match=r"node-4 .* wait until it answers or is replaced"):
        writing.user.stop()
    assert writing.state is State.RUNNING
    writing.run(writing.user.stop(unsaved=True))
    assert writing.state is State.STOPPED


def test_a_service_that_has_no_such_directories_saves_nothing(theatre: Any) -> None:
    theatre.start()
    theatre.run(theatre.user.stop())
    assert backups(theatre) == []
    theatre.start()
    with pytest.raises(WrongStateError, match="keeps no directories: name them"):
        theatre.run(theatre.user.backup())


def test_when_the_only_backend_dies_what_was_saved_last_comes_back(writing: Any) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    writing.run(writing.user.backup())
    only(writing).write("data/dog", "woof", 2)
    writing.cluster.cut(writing.machine("node-2"))
    writing.cluster.look()
    writing.cluster.wait(lambda: list(writing.roles()) == ["node-3"])
    writing.idle()
    assert only(writing).kept == {"data/cat": [1, "meow"]}
    assert any("is back as it was on" in one.reason for one in writing.user.get_history())


def test_a_start_that_cannot_put_it_back_says_so_and_a_stop_keeps_it(
    writing: Any, stage: Any
) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    writing.run(writing.user.stop())
    (backup,) = writing.user.list_backups()
    stage.failing["198.18.0.4", "unpack_kept"] = "the disk is full"
    with pytest.raises(ConPaaSError, match=rf"{backup.name}: .*disk is full. Try again, or del"):
        writing.start()
    assert writing.state is State.ERROR
    writing.run(writing.user.stop())
    assert [one.name for one in writing.user.list_backups()] == [backup.name]
    stage.failing.clear()
    writing.start()
    assert only(writing).kept == {"data/cat": [1, "meow"]}


def test_what_code_wrote_before_it_could_be_put_back_stays(writing: Any, stage: Any) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    writing.run(writing.user.backup())
    stage.failing["198.18.0.4", "unpack_kept"] = "the disk is full"
    writing.cluster.cut(writing.machine("node-2"))
    writing.cluster.look()
    writing.cluster.wait(lambda: list(writing.roles()) == ["node-3"])
    writing.idle()
    only(writing).write("data/dog", "woof", 2)
    with pytest.raises(UnsavedError, match="has not been put back there yet"):
        writing.manager.host(1).store["copied"] = []
        writing.run(writing.user.stop())
    writing.manager.host(1).store["copied"] = ["node-3"]
    stage.failing.clear()
    writing.run(writing.user.repair())
    assert only(writing).kept == {"data/cat": [1, "meow"], "data/dog": [2, "woof"]}


def test_after_a_restore_it_is_what_was_restored_that_comes_back(writing: Any) -> None:
    writing.start()
    only(writing).write("data/cat", "meow", 1)
    good = writing.run(writing.user.backup()).name
    writing.cluster.sampling_clock.advance(seconds=60)
    only(writing).write("data/cat", "broken into", 2)
    writing.run(writing.user.backup())
    writing.cluster.sampling_clock.advance(seconds=60)
    writing.run(writing.user.restore(name=good))
    writing.cluster.cut(writing.machine("node-2"))
    writing.cluster.look()
    writing.cluster.wait(lambda: list(writing.roles()) == ["node-3"])
    writing.idle()
    assert only(writing).kept == {"data/cat": [1, "meow"]}


def test_a_backup_is_verified_and_restored_on_every_node(writing: Any) -> None:
    writing.start(backend=2, web=1)
    writing.agents()["node-4"].write("data/cat", "meow", 1)
    name = writing.run(writing.user.backup()).name
    assert "1 file in data, 4 bytes" in writing.run(writing.user.verify_backup(name=name)).found
    for agent in writing.agents().values():
        agent.write("data/cat", "hiss", 2)
    writing.run(writing.user.restore(name=name))
    assert kept(writing) == {
        "backend 1": {"data/cat": "meow"},
        "backend 2": {"data/cat": "meow"},
        "proxy 3": {"data/cat": "hiss"},
        "web 4": {"data/cat": "meow"},
    }
