"""What only the machines of a service keep is saved before they go, or they do not go."""

import pytest

from conpaas.api import Applications, Services
from conpaas.errors import UnsavedError
from conpaas.state import State


@pytest.fixture
def applications(running):
    return running.cluster.api(Applications)


def learn(app, word):
    """Have the service keep a word that is known to be too large, or turns out not to be saved."""
    app.service.set_word(word)


def test_it_is_saved_while_all_nodes_are_there(running):
    running.run(running.service.add_nodes(nodes={"node": 1}))
    running.run(running.service.stop())
    assert running.manager.host(1).store["said"] == ["hi", "hi"]


def test_what_is_known_before_is_refused_and_changes_nothing(running):
    learn(running, "endless")
    before = running.seen()
    with pytest.raises(UnsavedError, match="has no end"):
        running.service.stop()
    assert running.seen() == before


def test_what_fails_keeps_the_machines_until_it_is_given_up(running):
    learn(running, "ineffable")
    with pytest.raises(UnsavedError, match=r"cannot be written. Stop it .* --unsaved"):
        running.run(running.service.stop())
    assert (running.state, len(running.nodes())) == (State.ERROR, 1)
    running.run(running.service.repair())
    assert running.state is State.RUNNING
    running.run(running.service.stop(unsaved=True))
    assert (running.state, running.nodes()) == (State.STOPPED, [])


def test_a_bug_costs_no_data_either(running, monkeypatch):
    def bug():
        raise LookupError("where is it?")

    monkeypatch.setattr(running.manager.host(1).manager, "save", bug)
    with pytest.raises(UnsavedError, match="a bug: LookupError"):
        running.run(running.service.stop())
    assert len(running.nodes()) == 1


def test_an_application_is_refused_for_one_of_its_services(running, applications):
    learn(running, "endless")
    with pytest.raises(UnsavedError, match="has no end"):
        applications.stop(application=running.aid)
    assert applications.get_info(application=running.aid).status == "RUNNING"
    assert running.state is State.RUNNING


def test_an_application_keeps_its_machines_when_it_fails(running, applications):
    learn(running, "ineffable")
    with pytest.raises(UnsavedError, match="cannot be written"):
        running.run(applications.stop(application=running.aid))
    assert len(running.nodes()) == 1
    learn(running, "hi")
    running.run(running.service.repair())
    running.run(applications.stop(application=running.aid))
    assert running.cluster.provider.machines == {}


def test_an_application_is_stopped_for_all_that_when_its_user_says_so(running, applications):
    learn(running, "endless")
    running.run(applications.stop(application=running.aid, unsaved=True))
    assert running.cluster.provider.machines == {}


def test_a_service_that_is_removed_saves_nothing(running):
    learn(running, "endless")
    running.run(running.cluster.api(Services).remove(application=running.aid, service=1))
    assert len(running.cluster.provider.machines) == 1
