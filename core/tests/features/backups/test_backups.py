"""Backups as their users see them: through director, manager and agents."""

import threading
from pathlib import Path

import pytest

from conpaas import beside
from conpaas.api import Applications, Services
from conpaas.errors import (
    AgentError,
    BusyError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    WrongStateError,
)
from conpaas.rpc import Progress
from conpaas.state import State


def test_a_backup_is_made_listed_and_restored(shop):
    made = shop.run(shop.user.backup())
    assert (made.kind, made.place, made.verified) == ("by hand", "manager", "no")
    assert made.size == len("TEXT\nfirst\nEND\n")
    assert shop.user.list_backups() == [made]
    assert shop.blobs() == [made.sha256]
    shop.user.write(text="second")
    restored = shop.run(shop.user.restore(name=made.name))
    assert shop.user.read() == "first"
    safety = shop.user.list_backups()[0]
    assert safety.kind == "before restore"
    assert restored.before == f" What was there before is the backup '{safety.name}'."
    shop.run(shop.user.restore(name=safety.name, unsaved=True))
    assert shop.user.read() == "second"
    assert len(shop.names()) == 2, "no other was asked for"


def test_backups_of_one_minute_have_names_of_their_own_and_share_a_file(shop):
    for _ in range(3):
        shop.run(shop.user.backup())
    third, second, first = shop.names()
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert len(shop.blobs()) == 1
    shop.run(shop.user.delete_backup(name=second))
    assert shop.names() == [third, first]
    assert len(shop.blobs()) == 1, "the others need it"
    shop.run(shop.user.delete_backup(name=first))
    shop.run(shop.user.delete_backup(name=third))
    assert shop.blobs() == []


def test_an_unknown_name_is_refused_with_the_nearest(shop):
    name = shop.run(shop.user.backup()).name
    for ask in (shop.user.restore, shop.user.verify_backup, shop.user.delete_backup):
        with pytest.raises(NotFoundError, match=f"no backup .*did you mean '{name}'"):
            ask(name=f"{name}x")
        with pytest.raises(NotFoundError, match="no backup"):
            ask(name="../../etc/passwd")


def test_a_backup_is_verified_and_what_was_found_is_told(shop):
    name = shop.run(shop.user.backup()).name
    row = shop.run(shop.user.verify_backup(name=name))
    assert (row.verified, row.found) == ("good", "a text of 5 characters")
    assert shop.user.list_backups() == [row]


def test_a_damaged_copy_is_fetched_from_the_director_again(shop):
    made = shop.run(shop.user.backup())
    (shop.machine.directory / "blobs" / made.sha256).write_bytes(b"TEXT\nfalse\nEND\n")
    shop.user.write(text="second")
    shop.run(shop.user.restore(name=made.name))
    assert shop.user.read() == "first"


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_bytes(b"TEXT\nfalse\nEND\n"), Path.unlink]
)
def test_a_backup_of_which_no_copy_is_left_is_broken_and_says_so(shop, damage):
    made = shop.run(shop.user.backup())
    shop.run(shop.user.verify_backup(name=made.name))
    for file in shop.cluster.directory.rglob(f"blobs/{made.sha256}"):
        damage(file)
    shop.user.write(text="second")
    with pytest.raises(InvalidError, match=f"{made.name} is broken.*take another one"):
        shop.run(shop.user.restore(name=made.name))
    assert shop.user.read() == "second"
    assert [row.verified for row in shop.user.list_backups()] == ["BROKEN"]


@pytest.mark.parametrize("content", [b"", b"TEXT\nfi", b"TEXT\nother\nEND\n", b"\x00" * 100000])
def test_a_broken_backup_changes_nothing(shop, content):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.on_volume()[name].write_bytes(content)
    shop.user.write(text="second")
    for ask in (shop.user.restore, shop.user.verify_backup):
        with pytest.raises(InvalidError, match=f"{name} is broken: its content is not what"):
            shop.run(ask(name=name))
    assert shop.user.read() == "second"
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING
    (row,) = shop.user.list_backups()
    assert row.verified == "BROKEN"
    assert f"{name} is broken" in row.found


def test_nonsense_as_it_was_written_is_found_before_anything_is_replaced(
    shop, orders, monkeypatch
):
    def write(self):
        yield b"TEXT\nno end"

    monkeypatch.setattr(orders, "write_backup", write)
    name = shop.run(shop.user.backup()).name
    shop.user.write(text="second")
    with pytest.raises(InvalidError, match="does not end as it should"):
        shop.run(shop.user.restore(name=name))
    assert shop.user.read() == "second"
    assert shop.names() == [name], "it was refused before a safety backup was needed"


def test_a_restore_that_fails_half_way_puts_back_what_was_there(shop, orders, monkeypatch):
    name = shop.run(shop.user.backup()).name
    shop.user.write(text="second")
    read, calls = orders.read_backup, []

    def fail_first(self, content, size):
        calls.append(size)
        if len(calls) == 1:
            self.write("half")
            raise AgentError("the node burns")
        yield from read(self, content, size)

    monkeypatch.setattr(orders, "read_backup", fail_first)
    with pytest.raises(AgentError, match="burns; what was there before has been put back"):
        shop.run(shop.user.restore(name=name))
    assert shop.user.read() == "second"
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING


def test_a_restore_that_cannot_go_back_either_names_the_safety_backup(shop, orders, monkeypatch):
    name = shop.run(shop.user.backup()).name

    def fail(self, content, size):
        yield from ()
        raise AgentError("the node burns")

    monkeypatch.setattr(orders, "read_backup", fail)
    with pytest.raises(AgentError, match=r"either \(the node burns\): it is the backup backup-"):
        shop.run(shop.user.restore(name=name))
    assert len(shop.names()) == 2


def test_a_backup_that_breaks_off_leaves_nothing(shop, orders):
    orders.break_off = True
    with pytest.raises(AgentError, match="burns"):
        shop.run(shop.user.backup())
    shop.user.set_backup_schedule(place=shop.volume())
    with pytest.raises(AgentError, match="burns"):
        shop.run(shop.user.backup())
    assert (shop.names(), shop.loose, shop.blobs(), shop.on_volume()) == ([], [], [], {})


def test_two_at_once_and_deleting_what_is_verified_are_busy(shop, orders):
    name = shop.run(shop.user.backup()).name
    going_on, asked = threading.Event(), threading.Event()

    def hold():
        asked.set()
        assert going_on.wait(10)

    orders.hold = staticmethod(hold)
    first = shop.user.backup()
    assert asked.wait(10)
    for ask in (
        shop.user.backup,
        lambda: shop.user.delete_backup(name=name),
        lambda: shop.user.verify_backup(name=name),
    ):
        with pytest.raises(BusyError, match="backup"):
            shop.run(ask())
    going_on.set()
    shop.run(first)
    assert len(shop.names()) == 2


def test_a_backup_gives_way_to_other_jobs_and_leaves_nothing(shop, orders):
    asked, going_on = threading.Event(), threading.Event()

    def hold():
        asked.set()
        going_on.wait(10)

    orders.hold = staticmethod(hold)
    backup = shop.user.backup()
    assert asked.wait(10)
    threading.Timer(0.3, going_on.set).start()
    shop.run(shop.user.add_nodes(nodes={"count": 1}))
    assert len(shop.user.list_nodes()) == 2
    with pytest.raises(BusyError, match="it gave way to add_nodes: ask for it again"):
        shop.run(backup)
    shop.look()
    assert (shop.names(), shop.loose, shop.blobs()) == ([], [], [])


def test_a_fault_does_not_wait_for_a_node_that_is_asked_about_a_backup(shop, orders, monkeypatch):
    name = shop.run(shop.user.backup()).name
    asked, answers = threading.Event(), threading.Event()

    def ask(self, content, size):
        yield Progress(0, "asking a node")
        asked.set()
        answers.wait(60)
        return "an answer that nobody waits for"

    monkeypatch.setattr(orders, "check_backup", ask)
    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    verifying = threading.Thread(target=lambda: told.append(_refused(shop, name)))
    told = []
    verifying.start()
    assert asked.wait(10)
    shop.run(shop.user.stop())
    assert not answers.is_set()
    answers.set()
    verifying.join(10)
    assert "it gave way to stop" in told[0]
    (row,) = shop.user.list_backups()
    assert row.verified == "no"


def _refused(shop, name):
    with pytest.raises(BusyError) as error:
        shop.run(shop.user.verify_backup(name=name))
    return str(error.value)


def test_a_backup_that_is_too_large_is_refused_and_nothing_is_kept(small_shop):
    shop = small_shop
    shop.user.write(text="x" * 200)
    with pytest.raises(TooLargeError, match="more than"):
        shop.run(shop.user.backup())
    assert (shop.names(), shop.loose, shop.blobs()) == ([], [], [])
    shop.user.set_backup_schedule(place=shop.volume())
    shop.run(shop.user.backup())
    assert len(shop.names()) == 1, "a volume is as large as it is"


def test_backups_are_on_a_volume_if_that_is_wanted(shop):
    schedule = shop.user.set_backup_schedule(place=shop.volume())
    assert schedule.places == ["manager", "shelf"]
    made = shop.run(shop.user.backup())
    assert made.place == "shelf"
    assert shop.blobs() == []
    assert shop.on_volume()[made.name].read_bytes() == b"TEXT\nfirst\nEND\n"
    shop.user.write(text="second")
    assert shop.run(shop.user.verify_backup(name=made.name)).verified == "good"
    shop.run(shop.user.restore(name=made.name))
    assert shop.user.read() == "first"
    for name in shop.names():
        shop.run(shop.user.delete_backup(name=name))
    assert shop.on_volume() == {}


def test_a_place_that_is_none_is_refused(shop):
    with pytest.raises(NotFoundError, match="no volume 'shelf'"):
        shop.user.set_backup_schedule(place="shelf")
    shop.volume()
    shop.run(shop.user.detach_volume(vol_name="shelf"))
    with pytest.raises(WrongStateError, match="shelf is not attached"):
        shop.user.set_backup_schedule(place="shelf")
    schedule = shop.user.get_backup_schedule()
    assert (schedule.place, schedule.places) == ("manager", ["manager"])


def test_a_backup_on_a_volume_is_read_again_by_who_was_disturbed(shop, orders, monkeypatch):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.user.write(text="second")
    read, seen = orders.read_backup, []

    def read_twice(self, content, size):
        seen.append(content.read(3))
        content.seek(0)
        yield from read(self, content, size)

    monkeypatch.setattr(orders, "read_backup", read_twice)
    shop.run(shop.user.restore(name=name))
    assert (seen, shop.user.read()) == ([b"TEX"], "first")


def test_restoring_waits_for_what_a_manager_that_was_killed_has_left_to_the_node(shop):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.user.write(text="second")
    agent = shop.manager.host(1).manager.agent
    (node,) = shop.manager.host(1).manager.nodes
    long = agent(node).ponder()
    next(long)
    restoring = threading.Thread(target=lambda: shop.run(shop.user.restore(name=name)))
    restoring.start()
    shop.cluster.wait(lambda: "ponder" in shop.manager.runner.latest(1)[0].message)
    assert shop.user.read() == "second"
    shop.root.joinpath("enough").touch()
    list(long)
    restoring.join(30)
    assert shop.user.read() == "first"


def test_backups_on_a_volume_that_is_detached_wait_for_it(shop):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.run(shop.user.detach_volume(vol_name="shelf"))
    for ask in (
        shop.user.backup,
        lambda: shop.user.restore(name=name),
        lambda: shop.user.delete_backup(name=name),
    ):
        with pytest.raises(WrongStateError, match="attach it first"):
            shop.run(ask())
    shop.run(shop.user.attach_volume(vol_name="shelf", agent_id=shop.node))
    shop.run(shop.user.restore(name=name))


def test_backups_whose_volume_was_deleted_can_be_deleted_and_not_restored(shop):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.run(shop.user.delete_volume(vol_name="shelf"))
    with pytest.raises(NotFoundError, match="volume shelf is gone, and with it"):
        shop.user.restore(name=name)
    shop.run(shop.user.delete_backup(name=name))
    assert (shop.names(), shop.loose) == ([], [])


def test_backups_outlast_a_stop_of_service_and_application_and_go_with_the_service(shop):
    name = shop.run(shop.user.backup()).name
    shop.run(shop.user.stop())
    assert shop.names() == [name]
    with pytest.raises(WrongStateError, match="restore is possible when it is RUNNING"):
        shop.user.restore(name=name)
    applications = shop.cluster.api(Applications)
    shop.cluster.run(applications.stop(application=shop.aid))
    shop.cluster.run(applications.start(application=shop.aid))
    shop.run(shop.user.start())
    shop.user.write(text="second")
    shop.run(shop.user.restore(name=name))
    assert shop.user.read() == "first"
    shop.run(shop.cluster.api(Services).remove(application=shop.aid, service=1))
    assert shop.blobs() == []


def test_backups_outlast_the_managers_machine(shop):
    name = shop.run(shop.user.backup()).name
    shop.user.write(text="second")
    for path in (shop.machine.directory / "blobs").iterdir():
        path.unlink()
    shop.run(shop.user.restore(name=name))
    assert shop.user.read() == "first"


def test_nobody_sees_another_services_backup(shop):
    name = shop.run(shop.user.backup()).name
    other = shop.cluster.service("keeping", shop.aid)
    shop.run(other.start())
    assert other.list_backups() == []
    with pytest.raises(NotFoundError):
        other.restore(name=name)
