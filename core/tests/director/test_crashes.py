"""A director's worker may die at any write: another takes its jobs up, and all ends well."""

import pytest

from conpaas.api import Services
from conpaas.director.models import Application, Certificate, Job, Machine
from conpaas.errors import CloudError, ConPaaSError


def idle(cluster):
    cluster.wait(lambda: not Job.select().where(Job.active.is_null(False)).exists())


def test_starting_and_stopping_an_application_survive_a_kill_at_every_write(
    cluster, applications, books, dying_worker, writes
):
    aid = cluster.application(start=False)
    most = 0
    for number in writes():
        started = dying_worker(lambda: cluster.run(applications.start(application=aid)), number)
        assert books.right and len(books.rows()) == 1, f"killed at write {number} of start"
        assert applications.get_info(application=aid).status == "RUNNING"
        stopped = dying_worker(lambda: cluster.run(applications.stop(application=aid)), number)
        assert books.right and books.rows() == [], f"killed at write {number} of stop"
        assert applications.get_info(application=aid).status == "STOPPED"
        most = max(most, number)
        if not started and not stopped:
            break
    assert most > 8
    # Whatever was issued to machines that are gone is worth nothing.
    assert Certificate.select().where(Certificate.revoked.is_null()).count() == 0


def test_deleting_an_application_survives_a_kill_at_every_write(
    cluster, applications, books, dying_worker, writes
):
    for number in writes():
        aid = cluster.application(f"app {number}")
        cluster.service("simple", aid)
        died = dying_worker(
            lambda aid=aid: cluster.run(applications.delete(application=aid)), number
        )
        assert Application.get_or_none(Application.id == aid) is None, number
        assert cluster.provider.machines == {}
        assert not cluster.director.files(aid)._directory.exists()
        if not died:
            break
    assert number > 3


def test_creating_machines_survives_a_kill_at_every_write(cluster, books, dying_worker, writes):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    for number in writes():
        died = dying_worker(lambda: cluster.run(service.add_nodes(nodes={"count": 2})), number)
        assert books.right and len(books.rows()) == 4, f"killed at write {number}"
        assert [node.state for node in service.list_nodes()] == ["ready"] * 3
        died |= dying_worker(lambda: cluster.run(service.remove_nodes(nodes={"count": 2})), number)
        assert books.right and len(books.rows()) == 2, f"killed at write {number} of the removal"
        if not died:
            break
    assert number > 8


def test_removing_a_service_survives_a_kill_at_every_write(cluster, books, dying_worker, writes):
    services = cluster.api(Services)
    aid = cluster.application()
    for number in writes():
        stub = cluster.service("simple", aid)
        (there,) = services.list()
        cluster.run(cluster.service_stub("simple", aid, there.sid).start())
        died = dying_worker(
            lambda sid=there.sid: cluster.run(services.remove(application=aid, service=sid)),
            number,
        )
        assert (services.list(), len(books.rows()), books.right) == ((), 1, True)
        if not died:
            break
        del stub
    assert number > 2


# -- clouds that fail ------------------------------------------------------------------------


class Ticking:
    """A clock on which each look takes a second, and sleeping none at all."""

    def __init__(self, start):
        self.now = start

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def quick(cluster, monkeypatch):
    """Have the director's waiting for machines take no time."""
    room = cluster.director.room
    monkeypatch.setattr(room, "_clock", Ticking(cluster.director.clock()))
    monkeypatch.setattr(room, "_sleep", lambda seconds: None)


FAULTS = {
    "refused": (lambda p: p.fail_next("create_machine", "Quota exceeded"), "Quota exceeded"),
    "answer lost": (lambda p: p.lose_next_answer(), "did not answer in time"),
    "stuck": (lambda p: p.get_stuck_next(), "have not joined"),
    "dies": (lambda p: p.die_in_boot_next("Kernel panic"), "Kernel panic"),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_cloud_that_fails_is_quoted_and_nothing_is_left_behind(
    cluster, applications, books, quick, monkeypatch, fault, words
):
    fault(cluster.provider)
    aid = cluster.application(start=False)
    with pytest.raises(CloudError, match=words):
        cluster.run(applications.start(application=aid))
    assert (cluster.provider.machines, books.rows()) == ({}, [])
    history = applications.get_history(application=aid)
    assert history[-1].state == "ERROR" and words in history[-1].reason
    monkeypatch.undo()
    cluster.run(applications.stop(application=aid))
    cluster.run(applications.start(application=aid))
    assert books.right


def test_of_many_machines_one_that_fails_takes_the_others_with_it(cluster, sid, aid, books, quick):
    service = cluster.service_stub("simple", aid, sid)
    cluster.provider.fail_next("create_machine", "No host found")
    with pytest.raises(CloudError, match="No host found"):
        cluster.run(service.add_nodes(nodes={"count": 5}))
    assert books.right and len(books.rows()) == 2


def test_a_cloud_that_neither_creates_nor_destroys_is_quoted_and_swept_later(
    cluster, applications, books, quick
):
    cluster.provider.lose_next_answer()
    cluster.provider.fail_next("destroy_machine", "Service unavailable")
    aid = cluster.application(start=False)
    with pytest.raises(CloudError, match="did not answer in time"):
        cluster.run(applications.start(application=aid))
    (doomed,) = books.rows("doomed")
    assert len(cluster.provider.machines) == 1
    with cluster.database.connection_context():
        cluster.director.room.destroy([doomed])
    assert cluster.provider.machines == {} and books.rows("doomed") == []


def test_a_driver_with_a_bug_leaves_no_machine_behind(cluster, applications, books, quick):
    cloud = cluster.director.clouds["memory"]
    create = cloud.create_machine

    def broken(*values, **named):
        create(*values, **named)
        raise KeyError("a bug in a driver")

    cloud.create_machine = broken
    aid = cluster.application(start=False)
    with pytest.raises(ConPaaSError, match="KeyError"):
        cluster.run(applications.start(application=aid))
    del cloud.create_machine
    assert (cluster.provider.machines, books.rows()) == ({}, [])


def test_a_machine_that_vanishes_while_it_boots_is_told(cluster, applications, books, quick):
    def vanish(machine, user_data):
        cluster.provider.vanish(machine.id)

    boot = cluster.provider.on_create
    cluster.provider.on_create = vanish
    aid = cluster.application(start=False)
    with pytest.raises(CloudError, match="vanished while it was booting"):
        cluster.run(applications.start(application=aid))
    cluster.provider.on_create = boot
    assert books.rows() == []


def test_an_address_that_another_machine_has_now_is_not_taken_for_the_old_one(cluster, aid, sid):
    """The node's machine is gone and its address belongs to a node of another application."""
    service = cluster.service_stub("simple", aid, sid)
    (node,) = cluster.manager(aid).book.nodes(1)
    (cloud_id,) = [i for i, m in cluster.machines.items() if m.number == node.machine]
    cluster.provider.vanish(cloud_id)
    other = cluster.application("other")
    cluster.provider.give_address_next(node.address)
    cluster.run(cluster.service("simple", other).start())
    with pytest.raises(ConPaaSError, match="not"):
        service.get_words()
    cluster.look()
    cluster.wait(lambda: not cluster.manager(aid).runner.busy("service 1"))
    assert [n.state for n in service.list_nodes()] == ["ready"]
    assert service.get_words()[0].node != node.id


def test_the_last_machine_of_the_quota_is_had_and_the_next_refused(cluster, aid, sid, books):
    service = cluster.service_stub("simple", aid, sid)
    object.__setattr__(cluster.provider.settings, "quota", 3)
    cluster.run(service.add_nodes(nodes={"count": 1}))
    with pytest.raises(CloudError, match="quota"):
        cluster.run(service.add_nodes(nodes={"count": 1}))
    assert books.right and len(books.rows()) == 3


def test_a_service_that_is_stopped_as_soon_as_it_starts_leaves_no_machine(cluster, aid, books):
    """What was asked for and not begun when the service stopped is not begun after it."""
    service = cluster.service("simple", aid)
    queue = cluster.director.jobs._queue
    held, put = [], queue.put

    def hold(number, for_manager=False):
        if Job.get_by_id(number).operation == "create_machines":
            held.append(number)
        else:
            put(number, for_manager)

    queue.put = hold
    starting = service.start()
    cluster.wait(lambda: held)
    cluster.run(service.stop())
    queue.put = put
    for number in held:
        put(number)
    idle(cluster)
    with pytest.raises(ConPaaSError):
        cluster.run(starting)
    assert books.right and len(books.rows()) == 1


def test_numbers_are_never_given_twice(cluster, applications):
    first = cluster.application("one")
    machine = Machine.select().get().id
    cluster.run(applications.delete(application=first))
    second = cluster.application("two")
    assert second > first
    assert Machine.select().where(Machine.application == second).get().id > machine
