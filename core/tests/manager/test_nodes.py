"""Nodes that are lost, replaced, found again; and what a director that is away does to it all."""

import threading
import time
from io import BytesIO

import pytest

from conpaas.api import Applications, Services
from conpaas.errors import BusyError, CloudError, ConPaaSError, InvalidError, UnreachableError
from conpaas.manager.nodes import NodeState
from conpaas.manager.watch import Watch
from conpaas.rpc import Progress, Upload
from conpaas.state import State
from conpaas.testing.cluster import DIRECTOR_URL

ONE = {"count": 1}


def machine_of(app, node):
    return app.cluster.machine(node.machine)


def vanish(app, node):
    """Delete a node's machine by hand."""
    (cloud_id,) = [i for i, m in app.cluster.machines.items() if m.number == node.machine]
    app.cluster.provider.vanish(cloud_id)


def look(app):
    app.cluster.look()
    app.idle()


def test_a_node_that_falls_silent_is_told_as_lost_and_replaced(running):
    app = running
    before = app.seen()
    (node,) = app.nodes()
    app.cluster.cut(machine_of(app, node))
    look(app)
    assert app.seen() == before
    assert app.nodes()[0].id != node.id
    assert [event[0] for event in app.service_events()][-3:] == ["lost", "removed", "added"]


def test_a_node_whose_machine_is_deleted_by_hand_is_replaced(running):
    app = running
    before = app.seen()
    vanish(app, app.nodes()[0])
    look(app)
    assert app.seen() == before


def test_another_lost_node_is_replaced_at_once_and_one_that_was_just_made_after_a_pause(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    now = [0.0]
    object.__setattr__(app.manager.config.watch, "retry", 60.0)
    watch = Watch(app.manager, lambda: now[0])

    def lose(node):
        vanish(app, node)
        watch.round()
        app.idle()
        return [n.id for n in app.nodes(NodeState.LOST)] == [node.id]

    for node in app.nodes():
        assert not lose(node), "both have been there for long: no pause between them"
    newest = app.nodes()[-1]
    assert lose(newest), "it has just been made: what lost it may lose the next one, too"
    now[0] = 61.0
    watch.round()
    app.idle()
    assert newest not in app.nodes() and len(app.nodes()) == 2


def test_a_lost_node_whose_role_is_not_replaced_waits_to_be_repaired(running):
    app = running
    app.run(app.service.add_nodes(nodes={"keeper": 1}))
    before = app.seen()
    keeper = app.nodes()[-1]
    vanish(app, keeper)
    look(app)
    assert [n.state for n in app.service.list_nodes()] == ["ready", "lost"]
    assert app.state is State.RUNNING
    app.run(app.service.repair())
    assert [node.role for node in app.nodes()] == ["node"]
    app.run(app.service.add_nodes(nodes={"keeper": 1}))
    assert app.seen() == before


def test_a_lost_node_that_answers_again_is_taken_back(running):
    app = running
    app.run(app.service.add_nodes(nodes={"keeper": 1}))
    keeper = app.nodes()[-1]
    app.cluster.cut(machine_of(app, keeper))
    look(app)
    assert app.nodes(NodeState.LOST) == app.nodes()[1:]
    before = app.seen_states()
    app.cluster.cut(machine_of(app, keeper), silent=False)
    look(app)
    assert app.seen_states() == {**before, keeper.id: "ready"}
    assert app.service_events()[-1] == ["added", 1]


def test_a_silent_node_has_its_time_before_it_counts_as_lost(running):
    app = running
    watch = app.machine.watch
    now = [0.0]
    watch._clock = lambda: now[0]
    object.__setattr__(app.manager.config.watch, "lost_after", 20.0)
    app.cluster.cut(machine_of(app, app.nodes()[0]))
    for now[0] in (0.0, 10.0, 19.0):
        watch.round()
        assert app.nodes(NodeState.LOST) == []
    app.cluster.cut(machine_of(app, app.nodes()[0]), silent=False)
    watch.round()
    app.cluster.cut(machine_of(app, app.nodes()[0]))
    for now[0] in (20.0, 39.0):
        watch.round()
        assert app.nodes(NodeState.LOST) == []


def test_a_replacement_that_fails_is_tried_again(running):
    app = running
    before = app.seen()
    app.cluster.provider.fail_next("create_machine", "Quota exceeded")
    vanish(app, app.nodes()[0])
    look(app)
    assert app.state is State.RUNNING
    assert app.nodes(NodeState.READY) == []
    look(app)
    assert app.seen() == before


def test_the_watch_waits_while_the_user_changes_something(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    entered, go_on = threading.Event(), threading.Event()
    manager = app.manager.host(1).manager

    def on_nodes_leaving(nodes):
        entered.set()
        assert go_on.wait(10)

    manager.on_nodes_leaving = on_nodes_leaving
    removing = app.service.remove_nodes(nodes=ONE)
    assert entered.wait(10)
    staying = app.nodes(NodeState.READY)[0]
    vanish(app, staying)
    app.cluster.look()
    assert app.nodes(NodeState.LOST) == [node for node in app.nodes() if node.id == staying.id]
    go_on.set()
    app.run(removing)
    look(app)
    assert app.seen()[1] == ["node"]


def test_a_node_that_is_leaving_is_never_called_lost(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    leaving = app.nodes()[-1]
    ways = app.manager.ways
    check = ways.check

    def slow_check(nodes):
        # While the watch waits for its answers, a job begins to give the node up.
        app.manager.book.mark([leaving], NodeState.LEAVING)
        return check(nodes)

    ways.check = slow_check
    app.cluster.cut(machine_of(app, leaving))
    app.cluster.look()
    assert app.seen_states()[leaving.id] == "leaving"


def test_a_node_that_is_gone_when_its_answer_is_missed_disturbs_nobody(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    first, second = app.nodes()
    ways = app.manager.ways
    check = ways.check

    def slow_check(nodes):
        app.manager.book.forget_nodes([first])
        return check(nodes)

    app.cluster.cut(machine_of(app, first))
    app.cluster.cut(machine_of(app, second))
    ways.check = slow_check
    app.cluster.look()
    ways.check = check
    assert second.id not in [node.id for node in app.nodes(NodeState.READY)]


def test_losing_every_node_at_once_is_mended(running):
    app = running
    app.run(app.service.add_nodes(nodes={"count": 2}))
    before = app.seen()
    for node in app.nodes():
        vanish(app, node)
    look(app)
    assert app.seen() == before


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
    vanish(app, app.nodes()[0])
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


def test_a_director_that_is_away_for_a_moment_stops_nothing(running):
    app = running
    adding = app.service.add_nodes(nodes=ONE)
    app.cluster.network.silence(DIRECTOR_URL)
    job = next(iter(app.manager.runner.latest(1)))
    app.cluster.network.silence(DIRECTOR_URL, False)
    app.run(adding)
    assert app.manager.runner.report(job.id).state == "done"
    assert app.seen()[1] == ["node", "node"]


def test_without_a_director_the_manager_still_answers_and_asks_its_nodes(running):
    app = running
    app.cluster.network.silence(DIRECTOR_URL)
    manager = app.manager.host(1).manager
    assert [word.word for word in manager.get_words()] == ["hi"]
    look(app)
    assert app.nodes(NodeState.LOST) == []
    app.cluster.network.silence(DIRECTOR_URL, False)


def test_a_job_that_finds_no_director_fails_and_can_be_repeated(running):
    app = running
    before = app.seen()
    host = app.manager.host(1)
    app.cluster.network.silence(DIRECTOR_URL)
    add = host.declared("add_nodes")
    number = app.manager.runner.submit(host, add, {"nodes": ONE}, "test")
    app.idle()
    report = app.manager.runner.report(number)
    assert (report.state, report.error["code"]) == ("failed", UnreachableError.code)
    app.cluster.network.silence(DIRECTOR_URL, False)
    assert app.seen() == before
    app.run(app.service.add_nodes(nodes=ONE))
    assert app.seen()[1] == ["node", "node"]


# -- the application as a whole -------------------------------------------------------------------


def test_stopping_an_application_keeps_definitions_code_and_store(running):
    app = running
    applications = app.cluster.api(Applications)
    app.service.set_word("kept")
    app.service.put_file(Upload(BytesIO(b"x" * 100_000), "f", 100_000))
    app.run(applications.stop(application=app.aid))
    assert app.cluster.provider.machines == {}
    assert applications.get_info(application=app.aid).status == "STOPPED"
    (service,) = app.cluster.api(Services).list()
    assert (service.sid, service.type, service.status) == (1, "simple", "STOPPED")

    app.run(applications.start(application=app.aid))
    assert app.state is State.STOPPED
    app.run(app.service.start())
    assert app.seen()[:3] == (State.RUNNING, ["node"], ["kept"])
    got = app.service.get_file()
    assert b"".join(got.pieces) == b"x" * 100_000
    states = [change.state for change in app.service.get_history()]
    assert states == ["INIT", "PROLOGUE", "RUNNING", "EPILOGUE", "STOPPED", "PROLOGUE", "RUNNING"]


def test_an_application_stops_its_service_that_is_being_stopped_already(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    entered, go_on = threading.Event(), threading.Event()
    manager = app.manager.host(1).manager

    def on_stop():
        entered.set()
        assert go_on.wait(10)

    manager.on_stop = on_stop
    app.service.stop()
    assert entered.wait(10)
    stopping = app.cluster.api(Applications).stop(application=app.aid)
    go_on.set()
    app.run(stopping)
    assert "going on" not in " ".join(step.message for step in app.cluster.steps)
    assert app.cluster.provider.machines == {}


def test_a_service_that_cannot_stop_keeps_no_other_from_stopping_in_order(running):
    app = running
    app.cluster.service("simple", app.aid)
    second = app.cluster.service_stub("simple", app.aid, 2)
    app.run(second.start())
    stopped = []
    app.manager.host(2).manager.on_stop = lambda: stopped.append(2)

    def broken():
        raise RuntimeError("a bug in the plugin")

    app.manager.host(1).manager.on_stop = broken
    app.run(app.cluster.api(Applications).stop(application=app.aid))
    assert stopped == [2]
    assert app.cluster.provider.machines == {}


def test_a_service_whose_plugin_is_gone_does_not_stop_the_manager(running, plugins):
    app = running
    service = plugins._services.pop("simple")
    app.restart()
    with pytest.raises(ConPaaSError, match="simple"):
        app.manager.host(1)
    plugins._services["simple"] = service
    app.restart()
    assert app.seen()[:2] == (State.RUNNING, ["node"])


def test_a_second_change_is_told_that_the_first_is_at_work(running):
    app = running
    entered, go_on = threading.Event(), threading.Event()

    def on_nodes_added(nodes):
        entered.set()
        assert go_on.wait(10)

    app.manager.host(1).manager.on_nodes_added = on_nodes_added
    adding = app.service.add_nodes(nodes=ONE)
    assert entered.wait(10)
    with pytest.raises(BusyError, match="add_nodes"):
        app.service.remove_nodes(nodes=ONE)
    assert app.service.list_nodes()
    go_on.set()
    app.run(adding)


class Ticking:
    """A clock on which every look takes a second."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        self.now += 1.0
        return self.now
