"""Nodes that are lost, replaced, found again."""

import threading

from conpaas.manager.nodes import NodeState
from conpaas.manager.watch import Watch
from conpaas.state import State

ONE = {"count": 1}


def test_a_node_that_falls_silent_is_told_as_lost_and_replaced(running):
    app = running
    before = app.seen()
    (node,) = app.nodes()
    app.cluster.cut(app.machine_of(node))
    app.look()
    assert app.seen() == before
    assert app.nodes()[0].id != node.id
    assert [event[0] for event in app.service_events()][-3:] == ["lost", "removed", "added"]


def test_a_node_whose_machine_is_deleted_by_hand_is_replaced(running):
    app = running
    before = app.seen()
    app.vanish(app.nodes()[0])
    app.look()
    assert app.seen() == before


def test_another_lost_node_is_replaced_at_once_and_one_that_was_just_made_after_a_pause(running):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    now = [0.0]
    object.__setattr__(app.manager.config.watch, "retry", 60.0)
    watch = Watch(app.manager, lambda: now[0])

    def lose(node):
        app.vanish(node)
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
    app.vanish(keeper)
    app.look()
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
    app.cluster.cut(app.machine_of(keeper))
    app.look()
    assert app.nodes(NodeState.LOST) == app.nodes()[1:]
    before = app.seen_states()
    app.cluster.cut(app.machine_of(keeper), silent=False)
    app.look()
    assert app.seen_states() == {**before, keeper.id: "ready"}
    assert app.service_events()[-1] == ["added", 1]


def test_a_silent_node_has_its_time_before_it_counts_as_lost(running):
    app = running
    watch = app.machine.watch
    now = [0.0]
    watch._clock = lambda: now[0]
    object.__setattr__(app.manager.config.watch, "lost_after", 20.0)
    app.cluster.cut(app.machine_of(app.nodes()[0]))
    for now[0] in (0.0, 10.0, 19.0):
        watch.round()
        assert app.nodes(NodeState.LOST) == []
    app.cluster.cut(app.machine_of(app.nodes()[0]), silent=False)
    watch.round()
    app.cluster.cut(app.machine_of(app.nodes()[0]))
    for now[0] in (20.0, 39.0):
        watch.round()
        assert app.nodes(NodeState.LOST) == []


def test_a_replacement_that_fails_is_tried_again(running):
    app = running
    before = app.seen()
    app.cluster.provider.fail_next("create_machine", "Quota exceeded")
    app.vanish(app.nodes()[0])
    app.look()
    assert app.state is State.RUNNING
    assert app.nodes(NodeState.READY) == []
    app.look()
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
    app.vanish(staying)
    app.cluster.look()
    assert app.nodes(NodeState.LOST) == [node for node in app.nodes() if node.id == staying.id]
    go_on.set()
    app.run(removing)
    app.look()
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
    app.cluster.cut(app.machine_of(leaving))
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

    app.cluster.cut(app.machine_of(first))
    app.cluster.cut(app.machine_of(second))
    ways.check = slow_check
    app.cluster.look()
    ways.check = check
    assert second.id not in [node.id for node in app.nodes(NodeState.READY)]


def test_losing_every_node_at_once_is_mended(running):
    app = running
    app.run(app.service.add_nodes(nodes={"count": 2}))
    before = app.seen()
    for node in app.nodes():
        app.vanish(node)
    app.look()
    assert app.seen() == before
