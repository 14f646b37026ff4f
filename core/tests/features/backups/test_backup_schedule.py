"""Backups that are made by themselves."""

import datetime as dt
import threading
import time

import pytest

from conpaas.errors import BusyError, InvalidError
from conpaas.features.backups.book import Backup, Schedule
from conpaas.features.backups.schedule import next_time, superfluous


def test_nothing_is_made_by_itself_unless_it_is_wanted(shop):
    schedule = shop.user.get_backup_schedule()
    assert (schedule.every, schedule.next, schedule.failed) == ("off", "", "")
    shop.later(hours=1000)
    assert shop.names() == []


def test_the_first_is_made_at_once_and_the_others_when_they_are_due(shop):
    shop.user.set_backup_schedule(every="24", keep=2)
    shop.look()
    assert len(shop.names()) == 1
    shop.later(hours=23)
    assert len(shop.names()) == 1
    for _ in range(3):
        shop.later(hours=24)
    rows = shop.user.list_backups()
    assert len(rows) == 2, "the older ones are gone"
    assert {row.kind for row in rows} == {"schedule"}
    assert all(row.found == "a text of 5 characters" for row in rows)
    assert len(shop.blobs()) == 1


def test_what_was_missed_is_made_up_for_once_and_at_the_same_time_of_day_as_ever(shop):
    shop.user.set_backup_schedule(every="24")
    shop.look()
    first = dt.datetime.fromisoformat(shop.user.get_backup_schedule().next)
    shop.run(shop.user.stop())
    shop.later(hours=24 * 5 + 3)
    assert len(shop.names()) == 1, "it is made while the service runs"
    shop.restart()
    shop.run(shop.user.start())
    for _ in range(3):
        shop.look()
    assert len(shop.names()) == 2
    following = dt.datetime.fromisoformat(shop.user.get_backup_schedule().next)
    assert following - first == dt.timedelta(days=5)


def test_a_schedule_outlasts_a_restart_of_the_manager(shop):
    shop.user.set_backup_schedule(every="24", keep=3, verify="off")
    shop.look()
    before = shop.user.get_backup_schedule()
    shop.restart()
    assert shop.user.get_backup_schedule() == before
    shop.look()
    assert len(shop.names()) == 1
    shop.later(hours=24)
    assert len(shop.names()) == 2
    assert {row.verified for row in shop.user.list_backups()} == {"no"}


def test_a_busy_service_is_asked_again_soon(shop, monkeypatch):
    shop.user.set_backup_schedule(every="1")
    manager = shop.manager
    monkeypatch.setattr(manager.runner, "busy", lambda name: True)
    shop.cluster.look()
    assert shop.names() == []
    monkeypatch.undo()
    shop.look()
    assert len(shop.names()) == 1


def test_a_failure_is_told_and_tried_again_after_a_while(shop, orders):
    orders.break_off = True
    shop.user.set_backup_schedule(every="24")
    shop.look()
    assert shop.user.get_backup_schedule().failed == "the node burns"
    shop.later(hours=0.2)
    told = [change.reason for change in shop.user.get_history() if "burns" in change.reason]
    assert told == ["the backup that was due failed: the node burns"], "once"
    orders.break_off = False
    shop.look()
    assert shop.names() == [], "not at once"
    shop.later(hours=0.2)
    assert len(shop.names()) == 1
    assert shop.user.get_backup_schedule().failed == ""


def test_a_backup_that_is_found_broken_is_told_and_does_not_push_out_good_ones(
    shop, orders, monkeypatch
):
    shop.user.set_backup_schedule(every="24", keep=1)
    shop.look()
    good = shop.names()

    def nonsense(self):
        yield b"nonsense"

    with monkeypatch.context() as patch:
        patch.setattr(orders, "write_backup", nonsense)
        shop.later(hours=24)
    assert len(shop.names()) == 2
    assert shop.user.list_backups()[0].verified == "BROKEN"
    assert "does not end as it should" in shop.user.get_backup_schedule().failed
    assert shop.names()[1:] == good
    shop.later(hours=0.2)
    newest, *others = shop.user.list_backups()
    assert newest.verified == "good"
    assert others == [], "one good one is kept, and nothing that is older"


def test_backups_made_by_hand_are_never_deleted_by_the_schedule(shop):
    name = shop.run(shop.user.backup()).name
    shop.user.set_backup_schedule(every="1", keep=1)
    for _ in range(3):
        shop.later(hours=1)
    assert len(shop.names()) == 2
    assert shop.names()[1] == name


def test_a_scheduled_backup_that_gave_way_is_made_afterwards(shop, orders):
    shop.user.set_backup_schedule(every="24")
    done = []

    def add():
        done.append(shop.user.add_nodes(nodes={"count": 1}))

    def hold():
        orders.hold = None
        threading.Thread(target=add).start()
        time.sleep(0.5)

    orders.hold = staticmethod(hold)
    shop.cluster.look()
    shop.cluster.wait(lambda: done)
    shop.run(done[0])
    shop.idle()
    for _ in range(2):
        shop.look()
    assert len(shop.names()) == 1
    assert shop.loose == []


def test_nonsense_is_refused_and_changes_nothing(shop):
    before = shop.user.get_backup_schedule()
    for wrong in ({"every": "0"}, {"every": "daily"}, {"every": "-1"}, {"every": "9999"}):
        with pytest.raises(InvalidError, match="every must be 1 to 8784 hours, or off"):
            shop.user.set_backup_schedule(**wrong)
    for wrong in ({"keep": 0}, {"keep": 1001}, {"verify": "perhaps"}):
        with pytest.raises(InvalidError, match=next(iter(wrong))):
            shop.user.set_backup_schedule(**wrong)
    assert shop.user.get_backup_schedule() == before


def test_what_is_not_said_stays_and_off_ends_it(shop):
    shop.user.set_backup_schedule(every="24", keep=2)
    shop.look()
    shop.user.set_backup_schedule(verify="off")
    schedule = shop.user.get_backup_schedule()
    assert (schedule.every, schedule.keep, schedule.verify) == ("every 24 h", 2, "off")
    shop.user.set_backup_schedule(every="off")
    shop.later(hours=100)
    assert len(shop.names()) == 1


def test_another_pace_counts_from_the_last_one(shop):
    shop.user.set_backup_schedule(every="24")
    shop.look()
    shop.later(hours=3)
    shop.user.set_backup_schedule(every="6")
    shop.look()
    assert len(shop.names()) == 1
    shop.later(hours=3)
    assert len(shop.names()) == 2


@pytest.mark.parametrize(
    ("begun", "due"), [(100.0, 3700.0), (3699.0, 3700.0), (3700.0, 7300.0), (90000.0, 90100.0)]
)
def test_the_next_one_is_in_the_future_and_in_step(begun, due):
    assert next_time(Schedule(every=1, next=100.0), begun) == due


def test_only_what_is_older_than_those_that_are_kept_is_superfluous():
    def made(name, whole=None, kind="schedule"):
        return Backup(name, "", 0, "", kind, "manager", whole=whole)

    backups = [made("e", False), made("d"), made("c", kind="by hand"), made("b", True), made("a")]
    assert [one.name for one in superfluous(backups, 1)] == ["b", "a"]
    assert [one.name for one in superfluous(backups, 2)] == ["a"]
    assert superfluous(backups, 3) == []
    assert superfluous([made("b", False), made("a", False)], 1) == []


def test_the_schedule_does_not_take_the_turn_of_a_user(shop, orders):
    def hold():
        with pytest.raises(BusyError):
            shop.user.backup()

    orders.hold = staticmethod(hold)
    shop.user.set_backup_schedule(every="24")
    shop.look()
    assert len(shop.names()) == 1
