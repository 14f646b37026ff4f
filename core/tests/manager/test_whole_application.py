"""An application and all its services: stopped, deleted, changed by two at once."""

import threading
from io import BytesIO

import pytest

from conpaas.api import Applications, Services
from conpaas.errors import BusyError, ConPaaSError
from conpaas.rpc import Upload
from conpaas.state import State

ONE = {"count": 1}


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
