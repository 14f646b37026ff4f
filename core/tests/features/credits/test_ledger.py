"""The ledger: what is charged, when, to whom, and what is given back."""

import threading

import pytest

from conpaas.director.models import Machine, User
from conpaas.errors import InvalidError, NoCreditError
from conpaas.features.credits import (
    conpaas_machines_gone,
    conpaas_permit,
    conpaas_user_created,
)
from conpaas.features.credits.director.statements import history, usage
from conpaas.features.credits.director.tables import CreditAccount, CreditEntry


def set_(section, **values):
    for name, value in values.items():
        object.__setattr__(section, name, value)


# -- the first hour --------------------------------------------------------------------------


def test_a_machine_costs_a_credit_as_soon_as_it_is_asked_for(room, ledger, lines):
    rows = room.want(room.application(), 3)
    assert ledger.balance(1) == 7
    assert lines("charge") == [("charge", row.id, 0, -1) for row in rows]


def test_the_same_request_is_charged_once(room, ledger):
    application = room.application()
    room.want(application, 2, key="same")
    room.want(application, 2, key="same")
    assert ledger.balance(1) == 8


def test_what_cannot_be_paid_is_refused_and_leaves_no_trace(room, ledger, lines):
    application = room.application()
    room.want(application, 8)
    with pytest.raises(NoCreditError) as refused:
        room.want(application, 3)
    assert str(refused.value) == (
        "3 machines for one hour cost 3 credits, and user 'test' has 2 left: "
        "ask an administrator for more"
    )
    assert refused.value.detail == {"needed": 3, "left": 2}
    assert Machine.select().count() == 8
    assert (ledger.balance(1), len(lines("charge"))) == (2, 8)


def test_the_last_credit_can_be_spent(room, ledger):
    room.want(room.application(), 10)
    assert ledger.balance(1) == 0


def test_of_twenty_at_once_one_gets_the_last_credit(cluster, room, ledger, eager_threads):
    application = room.application()
    room.want(application, 9)
    gate, won, refused = threading.Barrier(20), [], []

    def spend(number):
        with cluster.database.connection_context():
            gate.wait()
            try:
                won.append(
                    room.director.room.want(
                        application, 1, "simple", ["node"], f"at once {number}", "memory"
                    )
                )
            except NoCreditError as error:
                refused.append(error.detail)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert refused == [{"needed": 1, "left": 0}] * 19
    assert (ledger.balance(1), Machine.select().count()) == (0, 10)


# -- later hours -----------------------------------------------------------------------------


def test_an_hour_is_charged_when_it_begins_and_not_before(cluster, room, ledger, charge):
    room.want(room.application(), 2)
    cluster.clock.advance(hours=0.99)
    charge()
    assert ledger.balance(1) == 8
    cluster.clock.advance(hours=0.02)
    charge()
    charge()
    assert ledger.balance(1) == 6


def test_a_director_that_was_away_charges_each_hour_that_it_missed(cluster, room, charge, lines):
    (row,) = room.want(room.application())
    cluster.clock.advance(hours=5.5)
    charge()
    assert lines("charge") == [("charge", row.id, hour, -1) for hour in range(6)]
    times = [entry.time for entry in CreditEntry.select().where(CreditEntry.kind == "charge")]
    assert times == [pytest.approx(row.created + hour * 3600) for hour in range(6)]


def test_a_machine_that_is_gone_costs_nothing_more(cluster, room, ledger, charge):
    rows = room.want(room.application(), 2)
    room.destroy(rows[:1])
    cluster.clock.advance(hours=1.5)
    charge()
    assert ledger.balance(1) == 7


def test_two_rounds_at_once_charge_an_hour_once(cluster, room, ledger, charge, eager_threads):
    room.want(room.application(), 3)
    cluster.clock.advance(hours=1.1)

    def one_round():
        with cluster.database.connection_context():
            charge()

    threads = [threading.Thread(target=one_round) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.balance(1) == 4


def test_what_cannot_be_charged_for_one_user_does_not_keep_the_others_from_it(
    cluster, room, ledger, charge, monkeypatch
):
    other = User.create(username="other", password="!")
    conpaas_user_created(cluster.config, other, 5)
    room.want(room.application())
    room.user = other.id
    room.want(room.application("theirs"))
    cluster.clock.advance(hours=1.1)
    charge_due = type(ledger).charge_due

    def broken(self, owner, *rest):
        if owner == 1:
            raise RuntimeError("a bug")
        return charge_due(self, owner, *rest)

    monkeypatch.setattr(type(ledger), "charge_due", broken)
    charge()
    assert (ledger.balance(1), ledger.balance(other.id)) == (9, 3)


# -- not enough ------------------------------------------------------------------------------


def test_an_application_that_cannot_go_on_as_a_whole_is_charged_nothing(cluster, room, ledger):
    big, small = room.application("big"), room.application("small")
    room.want(big, 6)
    room.want(small, 2)  # two credits are left
    cluster.clock.advance(hours=1.1)
    assert ledger.charge_due(1, cluster.clock()) == [big.id]
    assert ledger.balance(1) == 0


def test_hours_that_were_served_are_charged_as_far_as_the_credit_goes(cluster, room, ledger):
    application = room.application()
    room.want(application, 4)  # six are left, and twelve hours are served
    cluster.clock.advance(hours=4.1)
    assert ledger.charge_due(1, cluster.clock()) == [application.id]
    assert ledger.balance(1) == 0


def test_what_is_being_stopped_is_charged_no_more(cluster, room, ledger):
    application = room.application()
    room.want(application, 2)
    cluster.clock.advance(hours=1.1)
    assert ledger.charge_due(1, cluster.clock(), leaving=[application.id]) == []
    assert ledger.balance(1) == 8


# -- refunds ---------------------------------------------------------------------------------


def test_a_machine_that_never_joined_is_given_back_once(cluster, room, ledger, lines):
    rows = room.want(room.application(), 2, joined=False)
    room.join(rows[:1])
    room.destroy(rows)
    conpaas_machines_gone(cluster.director, rows)
    assert lines("refund") == [("refund", rows[1].id, 0, 1)]
    assert ledger.balance(1) == 9


def test_all_hours_of_a_machine_that_never_joined_are_given_back(cluster, room, ledger, charge):
    rows = room.want(room.application(), joined=False)
    cluster.clock.advance(hours=2.5)
    charge()
    assert ledger.balance(1) == 7
    room.destroy(rows)
    assert ledger.balance(1) == 10


def test_a_machine_that_joined_while_it_was_given_up_is_not_given_back(cluster, room, ledger):
    stale = room.want(room.application(), joined=False)
    room.join(stale)
    conpaas_machines_gone(cluster.director, stale)
    assert ledger.balance(1) == 9


# -- who pays --------------------------------------------------------------------------------


def make_user(cluster, name, admin=False, credit=None):
    user = User.create(username=name, password="!", admin=admin)
    conpaas_user_created(cluster.config, user, credit)
    return user.id


@pytest.mark.parametrize(
    ("admin", "credit", "left"),
    [(False, None, 50), (False, 7, 7), (False, 0, 0), (True, None, None), (True, 3, 3)],
)
def test_a_new_user_has_what_is_given_or_what_the_settings_say(
    cluster, ledger, admin, credit, left
):
    assert ledger.left(make_user(cluster, "new", admin, credit)) == left


def test_one_who_is_not_charged_has_lines_of_nothing(cluster, room, ledger, charge, lines):
    ledger.set_unlimited(1, True)
    rows = room.want(room.application(), 20)
    cluster.clock.advance(hours=1.1)
    charge()
    assert ledger.left(1) is None
    assert (ledger.balance(1), len(lines("charge"))) == (10, 40)
    room.destroy(rows)


def test_whoever_is_charged_again_does_not_pay_for_what_was_before(cluster, room, ledger, charge):
    ledger.set_unlimited(1, True)
    room.want(room.application(), 2)
    cluster.clock.advance(hours=30.1)
    charge()
    ledger.set_unlimited(1, False)
    charge()
    assert ledger.left(1) == 10
    cluster.clock.advance(hours=1)
    charge()
    assert ledger.left(1) == 8


def test_nobody_is_charged_where_the_settings_say_so(cluster, room, ledger, charge):
    set_(cluster.config.credits, charge=False)
    room.want(room.application(), 20)
    cluster.clock.advance(hours=1.1)
    charge()
    assert ledger.left(1) is None
    set_(cluster.config.credits, charge=True)
    assert ledger.left(1) == 10


# -- giving and taking -----------------------------------------------------------------------


def test_more_than_there_is_cannot_be_taken_away(top_up, ledger):
    top_up(-4)
    with pytest.raises(InvalidError, match="user 'test' has 6 credits: 7 cannot be taken away"):
        top_up(-7)
    top_up(-6)
    assert ledger.balance(1) == 0


def test_nothing_cannot_be_given(top_up):
    with pytest.raises(InvalidError, match="0 changes nothing"):
        top_up(0)


def test_without_credit_what_costs_is_refused_and_the_rest_is_not(cluster, top_up, operation):
    class Caller:
        user = 1

    conpaas_permit(cluster.director, Caller, operation(costs=True))
    top_up(-10)
    with pytest.raises(NoCreditError, match="ask an administrator for more"):
        conpaas_permit(cluster.director, Caller, operation(costs=True))
    assert conpaas_permit(cluster.director, Caller, operation(costs=False)) is None


# -- statements ------------------------------------------------------------------------------


def test_the_history_is_told_page_by_page_with_what_was_left(room, top_up):
    room.want(room.application(), 2)
    top_up(5)
    newest = history(1, None, 2)
    assert [(line.kind, line.amount, line.balance) for line in newest] == [
        ("top_up", 5, 13), ("charge", -1, 8),
    ]  # fmt: skip
    older = history(1, newest[-1].id, 100)
    assert [(line.kind, line.amount, line.balance) for line in older] == [
        ("charge", -1, 9), ("grant", 10, 10),
    ]  # fmt: skip
    assert (newest[1].application, newest[1].sid, newest[0].by) == ("app", 1, "admin")
    assert history(1, older[-1].id, 100) == ()


def test_use_is_told_by_day_and_application_without_what_was_given_back(
    cluster, room, charge, ledger
):
    first, second = room.application("first"), room.application("second")
    room.want(first, 2)
    room.destroy(room.want(second, joined=False))
    room.want(second)
    ledger.set_unlimited(1, True)
    cluster.clock.advance(hours=25.9)
    charge()
    used = usage(1, 3, cluster.clock())
    by_name = {}
    for one in used:
        by_name[one.application] = by_name.get(one.application, 0) + one.credits
    assert by_name == {"first": 52, "second": 26}
    assert len({one.day for one in used}) in (2, 3)  # as late in the day as it is
    assert [one.day for one in used] == sorted((one.day for one in used), reverse=True)
    cluster.clock.advance(hours=24 * 30)
    assert usage(1, 2, cluster.clock()) == ()


def test_lines_outlive_the_application(room, ledger):
    application = room.application()
    rows = room.want(application)
    room.destroy(rows)
    application.delete_instance()
    (line, _) = history(1, None, 10)
    assert (line.application, line.machine, ledger.balance(1)) == ("app", rows[0].id, 9)


def test_the_account_goes_with_the_user(room, cluster):
    number = make_user(cluster, "leaver")
    User.delete().where(User.id == number).execute()
    assert CreditEntry.select().where(CreditEntry.user == number).count() == 0
    assert CreditAccount.select().where(CreditAccount.user == number).count() == 0
