"""A service that is started again comes back with as many nodes of each role as it had."""

import pytest

from conpaas.api import Applications
from conpaas.errors import CloudError
from conpaas.manager.nodes import NodeState
from conpaas.state import State

MORE = {"node": 2, "keeper": 1}


def roles(app):
    return sorted(node.role for node in app.nodes())


@pytest.fixture
def grown(running):
    """A service on four nodes."""
    running.run(running.service.add_nodes(nodes=MORE))
    return running


def test_it_has_the_nodes_that_it_had(grown):
    before = grown.seen()
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    assert grown.seen() == before


def test_it_has_none_of_those_that_were_removed(grown):
    grown.run(grown.service.remove_nodes(nodes={"node": 1}))
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    assert roles(grown) == ["keeper", "node", "node"]


def test_the_positions_are_those_of_before_whatever_came_and_went(grown):
    lost = grown.nodes()[0]
    grown.cluster.provider.vanish(f"m-{number_of(grown, lost)}")
    grown.cluster.look()
    grown.wait(lambda: lost.id not in [node.id for node in grown.nodes()])
    grown.idle()
    grown.run(grown.service.remove_nodes(nodes={"node": 1}))
    before = sorted((node.role, node.position) for node in grown.nodes())
    assert before == [("keeper", 0), ("node", 0), ("node", 1)]
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    assert sorted((node.role, node.position) for node in grown.nodes()) == before


def test_nodes_that_are_lost_come_back_too(grown):
    before = grown.seen()
    grown.manager.book.mark(grown.nodes()[1:], NodeState.LOST)
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    assert grown.seen() == before


def test_a_start_that_fails_is_tried_again_with_all_of_them(grown):
    before = grown.seen()
    grown.run(grown.service.stop())
    grown.cluster.provider.fail_next("create_machine", "no room")
    with pytest.raises(CloudError, match="no room"):
        grown.run(grown.service.start())
    assert grown.nodes() == []
    grown.run(grown.service.repair())
    assert grown.seen() == before


def test_where_there_is_no_room_for_them_it_starts_small(grown):
    grown.run(grown.service.stop())
    grown.cluster.provider.fail_next("create_machine", "no room")
    with pytest.raises(CloudError, match="no room"):
        grown.run(grown.service.start())
    grown.run(grown.service.stop())
    grown.run(grown.service.start(first=True))
    assert (grown.state, roles(grown)) == (State.RUNNING, ["node"])
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    assert roles(grown) == ["node"]


def test_a_repair_of_what_runs_brings_back_nothing_that_was_removed_since(grown):
    grown.run(grown.service.stop())
    grown.run(grown.service.start())
    grown.run(grown.service.remove_nodes(nodes=MORE))
    grown.manager.book.set_state(1, State.ERROR, "by a test")
    grown.run(grown.service.repair())
    assert roles(grown) == ["node"]


def test_a_repair_replaces_the_lost_nodes_that_must_be_and_gives_up_the_others(grown):
    grown.manager.book.mark(grown.nodes()[1:], NodeState.LOST)
    grown.manager.book.set_state(1, State.ERROR, "by a test")
    grown.run(grown.service.repair())
    assert roles(grown) == ["node", "node", "node"]


def test_an_application_whose_manager_is_gone_when_it_is_stopped_comes_back_as_it_was(grown):
    before = grown.seen()
    cluster = grown.cluster
    grown.manager.handover.now()
    machine = next(m for m in cluster.machines.values() if m.manager is not None)
    cluster.cut(machine)
    applications = cluster.api(Applications)
    grown.run(applications.stop(application=grown.aid))
    grown.run(applications.start(application=grown.aid))
    grown.run(grown.service.start())
    assert grown.seen() == before


def number_of(app, node):
    """Return the number in the cloud's id of a node's machine."""
    (found,) = [m for m in app.cluster.machines.items() if m[1].number == node.machine]
    return found[0].removeprefix("m-")
