"""What fails half-way, with a cloud, a node or the director, leaves a service that goes on."""

import threading
import time
from contextlib import contextmanager

import pytest

from conpaas import rpc
from conpaas.errors import CloudError, ConPaaSError, InvalidError, UnreachableError
from conpaas.manager.nodes import NodeState
from conpaas.rpc import Progress
from conpaas.state import State
from conpaas.testing.cluster import DIRECTOR_URL
from conpaas.testing.waiting import eventually

ONE = {"count": 1}


# -- when something fails half-way ----------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        lambda provider: provider.fail_next("create_machine", "Quota exceeded"),
        lambda provider: provider.lose_next_answer(),
        lambda provider: provider.die_in_boot_next("Kernel panic"),
    ],
    ids=["refused", "answer lost", "dies in boot"],
)
def test_nodes_that_cannot_be_had_leave_the_service_as_it_was(running, fault):
    app = running
    before = app.seen()
    app.cluster.director.room._sleep = lambda seconds: None
    app.cluster.director.room._clock = Ticking()
    fault(app.cluster.provider)
    with pytest.raises(CloudError):
        app.run(app.service.add_nodes(nodes={"count": 2}))
    assert app.seen() == before


def test_nodes_that_cannot_be_configured_are_given_back(running):
    app = running
    before = app.seen()
    app.service.set_word("broken")
    with pytest.raises(ConPaaSError, match="burns"):
        app.run(app.service.add_nodes(nodes={"count": 2}))
    assert app.seen() == before


def test_a_service_that_cannot_start_can_be_repaired_or_stopped(app):
    app.service.set_word("broken")
    with pytest.raises(ConPaaSError, match=r"node-\d.*burns"):
        app.run(app.service.start())
    assert app.state is State.ERROR
    with pytest.raises(ConPaaSError, match="burns"):
        app.run(app.service.repair())
    assert app.state is State.ERROR
    app.service.set_word("well")
    app.run(app.service.repair())
    assert app.seen()[:3] == (State.RUNNING, ["node"], ["well"])
    app.run(app.service.stop())
    assert app.seen()[:2] == (State.STOPPED, [])


def test_what_is_left_over_of_a_failure_is_mended_by_a_repair(running):
    app = running
    app.run(app.service.add_nodes(nodes={"count": 2}))
    first, second, third = app.nodes()
    app.manager.book.mark([second], NodeState.LEAVING)
    app.manager.book.mark([third], NodeState.JOINING)
    app.manager.book.set_state(1, State.ERROR, "by a test")
    app.run(app.service.repair())
    assert app.seen()[:2] == (State.RUNNING, ["node"])
    assert [node.id for node in app.nodes()] == [first.id]


def test_a_service_stops_while_it_starts(app):
    entered, go_on = threading.Event(), threading.Event()
    manager = app.manager.host(1).manager
    original = manager.on_start

    def on_start(nodes):
        entered.set()
        assert go_on.wait(10)
        yield Progress(50, "told to stop by now")
        yield from original(nodes)

    manager.on_start = on_start
    starting = app.service.start()
    assert entered.wait(10)
    cancelled = app.manager.runner._running["service 1"].cancelled
    threading.Thread(target=lambda: cancelled.wait(10) and go_on.set()).start()
    app.run(app.service.stop())
    with pytest.raises(ConPaaSError):
        app.run(starting)
    assert app.seen()[:2] == (State.STOPPED, [])


def test_a_service_stops_though_a_machine_is_gone_from_its_cloud(running):
    app = running
    app.vanish(app.nodes()[0])
    app.run(app.service.stop())
    assert app.seen()[:2] == (State.STOPPED, [])


def test_counts_that_mean_nothing_are_refused(running):
    app = running
    before = app.seen()
    for counts in [
        {"count": -1}, {"count": 0}, {"count": 10**9}, {"count": 2**70}, {"no-such-role": 1},
        {"head": 1}, {"count": 20}, {"": 1}, {"node": 0, "keeper": 0}, {"node": 15, "keeper": 15},
        {"count": "1"}, {"count": 1.0}, {"count": None}, [1], "1", 1,
    ]:  # fmt: skip
        for change in (app.service.add_nodes, app.service.remove_nodes):
            with pytest.raises(InvalidError):
                change(nodes=counts)
    assert app.seen() == before


# -- the director is away -------------------------------------------------------------------------


def test_a_director_that_is_away_when_it_is_asked_for_machines_is_asked_again(running):
    app = running
    with silent_director(app) as unanswered:
        number = adding_one(app)
        eventually(lambda: unanswered() >= 2)
    app.idle()
    assert app.manager.runner.report(number).state == "done"
    assert app.seen()[1] == ["node", "node"]


def test_a_director_that_goes_away_while_machines_boot_stops_nothing(running):
    app = running
    power_on, booting, go_on = app.cluster.provider.on_create, threading.Event(), threading.Event()

    def slow(machine, user_data):
        booting.set()
        assert go_on.wait(30)
        power_on(machine, user_data)

    app.cluster.provider.on_create = slow
    number = adding_one(app)
    assert booting.wait(30)
    with silent_director(app) as unanswered:
        eventually(lambda: unanswered() >= 2)
    go_on.set()
    app.idle()
    assert app.manager.runner.report(number).state == "done"
    assert app.seen()[1] == ["node", "node"]


def test_without_a_director_the_manager_still_answers_and_asks_its_nodes(running):
    app = running
    with silent_director(app):
        manager = app.manager.host(1).manager
        assert [word.word for word in manager.get_words()] == ["hi"]
        app.look()
        assert app.nodes(NodeState.LOST) == []


def test_a_job_that_finds_no_director_fails_and_can_be_repeated(running, monkeypatch):
    monkeypatch.setattr(rpc, "PATIENCE", 0.1)
    app = running
    before = app.seen()
    with silent_director(app):
        number = adding_one(app)
        app.idle()
    report = app.manager.runner.report(number)
    assert (report.state, report.error["code"]) == ("failed", UnreachableError.code)
    assert app.seen() == before
    app.run(app.service.add_nodes(nodes=ONE))
    assert app.seen()[1] == ["node", "node"]


def adding_one(app):
    """Begin to add a node at the manager itself; return the number of the job."""
    host = app.manager.host(1)
    return app.manager.runner.submit(host, host.declared("add_nodes"), {"nodes": ONE}, "test")


@contextmanager
def silent_director(app):
    """Have the director not answer; give what tells how many calls it missed."""
    network = app.cluster.network
    before = network.unanswered[DIRECTOR_URL]
    network.silence(DIRECTOR_URL)
    yield lambda: network.unanswered[DIRECTOR_URL] - before
    network.silence(DIRECTOR_URL, False)


class Ticking:
    """A clock on which every look takes a second."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        self.now += 1.0
        return self.now
