"""A manager whose machine is lost is replaced by one that knows what it knew."""

import threading
from io import BytesIO

import pytest

from conpaas import rpc
from conpaas.api import Applications
from conpaas.director.models import Machine
from conpaas.director.sweep import Sweep
from conpaas.errors import ConPaaSError, UnreachableError
from conpaas.manager.handover import Handover
from conpaas.rpc import Upload
from conpaas.state import State
from conpaas.testing.cluster import DIRECTOR_URL

ONE = {"count": 1}


def lose_manager(app):
    """Delete the manager's machine by hand."""
    (cloud_id,) = [i for i, m in app.cluster.machines.items() if m.manager is app.manager]
    app.cluster.provider.vanish(cloud_id)


def sweep(app):
    """Let the director look around, and wait until what it began has ended."""
    with app.cluster.database.connection_context():
        Sweep(app.cluster.director).round()
    api = app.cluster.api(Applications)
    app.cluster.wait(lambda: api.get_info(application=app.aid).status == "RUNNING")


def handed_over(app):
    app.manager.handover.now()


def test_another_manager_takes_over_nodes_and_all_that_was_known(running):
    app = running
    app.service.set_word("kept")
    app.service.put_file(Upload(BytesIO(b"x" * 100_000), "f", 100_000))
    app.run(app.service.add_nodes(nodes=ONE))
    handed_over(app)
    before, nodes, history = app.seen(), app.nodes(), app.service.get_history()
    old = app.machine.number

    lose_manager(app)
    sweep(app)

    assert app.machine.number != old
    assert app.seen() == before
    assert (app.nodes(), app.service.get_history()) == (nodes, history)
    assert app.manager.host(1).store["word"] == "kept"
    assert b"".join(app.service.get_file().pieces) == b"x" * 100_000
    app.run(app.service.add_nodes(nodes=ONE))
    assert app.seen()[1] == ["node"] * 3


def test_the_old_managers_certificate_is_worth_nothing(running):
    app = running
    old = app.machine
    handed_over(app)
    lose_manager(app)
    sweep(app)
    app.cluster.director.refresh_revoked()
    answer = old.peers.again().request(DIRECTOR_URL, "GET", "/api/v1/manager/list_services")
    assert answer.status == 401


def test_a_manager_that_is_there_is_left_alone(running):
    before = running.machine.number
    sweep(running)
    assert running.machine.number == before


def test_a_replacement_that_fails_is_tried_at_the_next_round(running):
    app = running
    handed_over(app)
    before = app.seen()
    lose_manager(app)
    app.cluster.provider.fail_next("create_machine", "Quota exceeded")
    sweep(app)
    assert app.cluster.api(Applications).get_info(application=app.aid).manager is None
    sweep(app)
    assert app.seen() == before


@pytest.mark.parametrize("operation", ["add_nodes", "remove_nodes"])
def test_a_job_that_was_cut_off_is_finished_and_no_machine_is_left_over(running, operation):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))
    at_work, gone = threading.Event(), threading.Event()
    manager = app.manager.host(1).manager

    def hang(nodes):
        at_work.set()
        gone.wait(20)
        raise UnreachableError("this manager is dead")

    manager.on_nodes_added = manager.on_nodes_removed = hang
    getattr(app.service, operation)(nodes=ONE)
    assert at_work.wait(10)
    handed_over(app)
    lose_manager(app)
    gone.set()
    sweep(app)
    app.idle()
    assert app.seen()[:2] == (State.RUNNING, ["node"] * (3 if operation == "add_nodes" else 1))


def test_machines_that_nobody_handed_over_are_given_back(running):
    """The manager dies after it got machines and before it could tell anybody of them."""
    app = running
    handed_over(app)
    before = app.seen()
    app.manager.handover.stop()
    app.run(app.service.add_nodes(nodes=ONE))
    lose_manager(app)
    sweep(app)
    sweep(app)
    assert app.seen() == before


def test_machines_that_could_not_be_given_back_are_not_kept(running, monkeypatch):
    """The director is away when new nodes fail: it is told later."""
    monkeypatch.setattr(rpc, "PATIENCE", 0.1)
    app = running
    before = app.seen()
    host = app.manager.host(1)

    def fail(nodes):
        app.cluster.network.silence(DIRECTOR_URL)
        raise UnreachableError("the agents are cut off")

    monkeypatch.setattr(host.machines, "_wait", fail)
    number = app.manager.runner.submit(host, host.declared("add_nodes"), {"nodes": ONE}, "test")
    app.idle()
    assert app.manager.runner.report(number).state == "failed"
    app.cluster.network.silence(DIRECTOR_URL, False)
    app.machine.watch._next_keeping = 0.0
    app.cluster.look()
    sweep(app)
    assert app.seen() == before


def test_machines_that_a_job_is_about_to_get_are_kept(running, monkeypatch):
    app = running
    at_work, go_on = threading.Event(), threading.Event()
    note = app.manager.book.add_nodes

    def slow(number, machines):
        at_work.set()
        assert go_on.wait(30)
        return note(number, machines)

    monkeypatch.setattr(app.manager.book, "add_nodes", slow)
    adding = app.service.add_nodes(nodes=ONE)
    assert at_work.wait(30)
    app.manager.keep_machines()
    assert Machine.select().where(Machine.state == "doomed").count() == 0
    go_on.set()
    app.run(adding)


def test_what_is_acknowledged_is_handed_over(running):
    app = running
    app.service.set_word("precious")
    lose_manager(app)
    sweep(app)
    assert app.manager.host(1).store["word"] == "precious"


def test_starting_anew_forgets_nodes_and_jobs_but_no_service(running):
    app = running
    applications = app.cluster.api(Applications)
    app.run(applications.stop(application=app.aid))
    app.run(applications.start(application=app.aid))
    assert app.nodes() == []
    assert app.state is State.STOPPED
    assert [job.state for job in app.manager.runner.latest() if not job.state.ended] == []


# -- handing over ------------------------------------------------------------------------------


class Book:
    """Counts snapshots."""

    def __init__(self):
        self.records = self
        self.taken = 0

    def states(self):
        return {1: State.RUNNING}

    def snapshot(self):
        self.taken += 1
        return b"snapshot %d" % self.taken


class Desk:
    """Notes what is handed over; fails as often as it was told to."""

    def __init__(self, failures=0):
        self.failures = failures
        self.got = []
        self.came = threading.Semaphore(0)

    def hand_over(self, states, snapshot):
        if self.failures:
            self.failures -= 1
            raise UnreachableError("away")
        self.got.append((states, snapshot.stream.read()))
        self.came.release()


def test_changes_are_sent_from_a_thread_and_several_at_once():
    desk, book = Desk(), Book()
    handover = Handover(book, desk)
    for _ in range(5):
        handover.soon()
    handover.start()
    assert desk.came.acquire(timeout=10)
    assert desk.got == [({"1": "RUNNING"}, b"snapshot 1")]
    handover.stop()


def test_what_cannot_be_sent_is_sent_later(monkeypatch):
    from conpaas.manager import handover as module

    monkeypatch.setattr(module, "RETRY", 0.01)
    desk = Desk(failures=2)
    handover = Handover(Book(), desk)
    handover.start()
    handover.soon()
    assert desk.came.acquire(timeout=10)
    handover.stop()
    assert desk.got == [({"1": "RUNNING"}, b"snapshot 3")]


def test_now_tells_that_it_could_not():
    handover = Handover(Book(), Desk(failures=1))
    with pytest.raises(ConPaaSError):
        handover.now()
    handover.now()


def test_after_its_end_nothing_is_sent():
    desk = Desk()
    handover = Handover(Book(), desk)
    handover.stop()
    handover.now()
    assert desk.got == []


def test_the_last_line_of_a_lost_machine_is_gone_from_the_directors_books(running):
    app = running
    handed_over(app)
    old = app.machine.number
    lose_manager(app)
    sweep(app)
    assert Machine.get_by_id(old).state == "gone"
