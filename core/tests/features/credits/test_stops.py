"""Without credit applications stop, keep what they are, and start again after a top-up."""

import pytest

from conpaas.api import Applications, Services
from conpaas.director.models import Application, Job, Machine, StateChange, User
from conpaas.errors import CloudError, NoCreditError
from conpaas.features.credits.director.notices import notices
from conpaas.features.credits.director.stops import Stops
from conpaas.features.credits.director.tables import CreditStop
from conpaas.state import State


@pytest.fixture
def applications(cluster):
    return cluster.api(Applications)


@pytest.fixture
def running(cluster):
    """An application with a service on three nodes and one that was never started."""
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.service("simple", aid)
    service.set_word(word="kept")
    cluster.run(service.start())
    cluster.run(service.add_nodes(nodes={"count": 2}))
    cluster.manager(aid).handover.now()
    return aid


@pytest.fixture
def settle(cluster, charge, idle):
    """Do rounds until nothing changes any more."""

    def settle():
        before = None
        while before != (before := (phases(), jobs_seen(), Job.select().count())):
            charge()
            idle()
            for machine in list(cluster.machines.values()):
                if machine.manager is not None:
                    runner = machine.manager.runner
                    cluster.wait(
                        lambda runner=runner: (
                            not any(runner.busy(f"service {number}") for number in (1, 2))
                        )
                    )
                    machine.manager.handover.now()

    return settle


def phases():
    return [(row.application_id, row.phase) for row in CreditStop.select()]


def jobs_seen():
    return [row.seen for row in CreditStop.select()]


def state(aid):
    return Application.get_by_id(aid).state


def reasons(aid):
    rows = StateChange.select().where(StateChange.application == aid).order_by(StateChange.id)
    return [row.reason for row in rows]


def living():
    rows = Machine.select().where(Machine.state.in_(["wanted", "booting", "running"]))
    return sorted((row.service, row.role) for row in rows)


def stop_for_lack(cluster, settle):
    """Let hours pass until the credit is used up."""
    cluster.clock.advance(hours=1.05)
    settle()
    cluster.clock.advance(hours=1)
    settle()


# -- down ------------------------------------------------------------------------------------


def test_what_is_paid_is_served_and_the_next_hour_is_not(cluster, running, ledger, settle):
    assert ledger.left(1) == 6
    cluster.clock.advance(hours=1.05)
    settle()
    assert (ledger.left(1), state(running)) == (2, State.RUNNING)
    cluster.clock.advance(hours=0.9)
    settle()
    assert state(running) == State.RUNNING
    cluster.clock.advance(hours=0.1)
    settle()
    assert (state(running), living()) == (State.STOPPED, [])
    assert cluster.provider.machines == {}
    # It was not charged for an hour that it did not get.
    assert ledger.left(1) == 2


def test_the_history_says_why(cluster, running, settle):
    stop_for_lack(cluster, settle)
    told = reasons(running)
    assert "no credit left for the next hour: it is being stopped" in told
    assert told[-1] == "stopped: no credit left; it starts again after a top-up"


def test_other_applications_go_on_until_their_own_hour_is_due(
    cluster, running, applications, settle
):
    cluster.clock.advance(hours=0.5)
    other = cluster.application("other")
    cluster.clock.advance(hours=0.55)
    settle()
    cluster.clock.advance(hours=0.4)
    settle()
    assert (state(running), state(other)) == (State.RUNNING, State.RUNNING)


def test_one_that_its_user_is_stopping_is_left_alone(cluster, running, ledger, settle):
    Job.create(
        object="application", operation="stop", arguments="{}", caller="{}", user=1,
        target=f"application {running}", active=f"application {running}", state="queued",
    )  # fmt: skip
    Stops(cluster.director).note(running)
    assert phases() == []
    Job.delete().execute()


def test_a_lost_manager_that_cannot_be_paid_takes_the_application_with_it(
    cluster, running, top_up, settle
):
    top_up(-6)
    manager = Machine.get(Machine.service == 0)
    cluster.director.room.destroy([manager])
    settle()
    assert (state(running), living()) == (State.STOPPED, [])
    top_up(4)
    settle()
    assert (state(running), living()) == (State.RUNNING, [(0, "manager"), *[(1, "node")] * 3])


def test_a_cloud_that_does_not_give_machines_back_is_asked_again(cluster, top_up, settle, ledger):
    aid = cluster.application()
    top_up(-ledger.left(1))
    cluster.provider.fail_next("destroy_machine", "try again later")
    cluster.clock.advance(hours=1.05)
    settle()
    assert (state(aid), phases()) == (State.STOPPED, [(aid, "stopped")])
    assert any("try again later" in reason for reason in reasons(aid))
    assert cluster.provider.machines == {}


# -- up --------------------------------------------------------------------------------------


def test_after_a_top_up_it_runs_again_with_the_services_that_ran(
    cluster, running, top_up, settle, applications
):
    stop_for_lack(cluster, settle)
    top_up(10)
    settle()
    assert (state(running), phases()) == (State.RUNNING, [])
    assert living() == [(0, "manager"), *[(1, "node")] * 3]
    services = cluster.api(Services).list(application=running)
    assert [service.status for service in services] == ["RUNNING", "INIT"]
    words = cluster.service_stub("simple", running, 1).get_words()
    assert [word.word for word in words] == ["kept"] * 3


def test_it_does_not_start_before_there_is_enough_for_all_of_it(
    cluster, running, top_up, settle, ledger
):
    stop_for_lack(cluster, settle)
    top_up(3 - ledger.left(1))
    settle()
    assert (state(running), phases()) == (State.STOPPED, [(running, "stopped")])
    (_, told) = notices(cluster.director, 1)
    assert told == (
        "Application 'app' was stopped, as no credit was left. Its code, settings and volumes "
        "are kept; it starts again by itself when credit is added and you have at least 4 "
        "credits."
    )
    top_up(1)
    settle()
    assert (state(running), ledger.left(1)) == (State.RUNNING, 0)


def test_one_who_is_no_more_charged_has_it_started_again(cluster, running, ledger, settle):
    stop_for_lack(cluster, settle)
    ledger.set_unlimited(1, True)
    settle()
    assert state(running) == State.RUNNING


def test_several_start_one_after_the_other_as_far_as_the_credit_goes(
    cluster, running, top_up, settle, ledger
):
    other = cluster.application("other")
    stop_for_lack(cluster, settle)
    cluster.clock.advance(hours=1)
    settle()
    assert (state(running), state(other)) == (State.STOPPED, State.STOPPED)
    top_up(4 - ledger.left(1))
    settle()
    assert (state(running), state(other)) == (State.RUNNING, State.STOPPED)
    top_up(1)
    settle()
    assert (state(running), state(other)) == (State.RUNNING, State.RUNNING)
    assert ledger.left(1) == 0


def test_a_start_that_fails_is_tried_again(cluster, running, top_up, settle):
    stop_for_lack(cluster, settle)
    cluster.provider.fail_next("create_machine", "no host found")
    top_up(10)
    settle()
    assert (state(running), phases()) == (State.RUNNING, [])
    assert living() == [(0, "manager"), *[(1, "node")] * 3]


def test_a_start_that_goes_on_failing_is_given_up_and_costs_nothing(
    cluster, running, top_up, settle, ledger
):
    stop_for_lack(cluster, settle)
    cloud = cluster.director.clouds["memory"]

    def refuse(*values, **named):
        raise CloudError("no host found")

    cloud.create_machine = refuse
    top_up(10)
    left = ledger.left(1)
    settle()
    assert phases() == []
    assert reasons(running)[-1].startswith("it could not be started again: ")
    assert "no host found" in reasons(running)[-1]
    assert ledger.left(1) == left


def test_one_whose_user_is_disabled_waits_until_he_is_not(cluster, running, top_up, settle):
    stop_for_lack(cluster, settle)
    User.update(disabled=True).execute()
    top_up(10)
    settle()
    assert (state(running), phases()) == (State.STOPPED, [(running, "stopped")])
    User.update(disabled=False).execute()
    settle()
    assert state(running) == State.RUNNING


# -- the user has taken over -----------------------------------------------------------------


def test_one_that_its_user_starts_is_left_to_him(cluster, running, top_up, settle, applications):
    stop_for_lack(cluster, settle)
    top_up(1)
    cluster.run(applications.start(application=running))
    settle()
    assert (phases(), living()) == ([], [(0, "manager")])


def test_one_that_its_user_stops_once_more_stays_stopped(
    cluster, running, top_up, settle, applications
):
    stop_for_lack(cluster, settle)
    cluster.run(applications.stop(application=running))
    top_up(10)
    settle()
    assert (phases(), state(running)) == ([], State.STOPPED)


def test_one_that_its_user_deletes_is_gone(cluster, running, top_up, settle, applications):
    stop_for_lack(cluster, settle)
    cluster.run(applications.delete(application=running))
    top_up(10)
    settle()
    assert (phases(), cluster.provider.machines) == ([], {})


def test_one_that_its_user_stops_while_it_starts_stays_stopped(
    cluster, running, top_up, charge, idle, settle, applications
):
    stop_for_lack(cluster, settle)
    top_up(10)
    charge()
    cluster.run(applications.stop(application=running))
    idle()
    settle()
    assert (phases(), state(running), living()) == ([], State.STOPPED, [])


def test_a_service_that_is_gone_is_not_started(cluster, running, top_up, settle):
    stop_for_lack(cluster, settle)
    cluster.run(cluster.api(Services).remove(application=running, service=1))
    top_up(10)
    settle()
    assert (phases(), living()) == ([], [(0, "manager")])


# -- what the user is told -------------------------------------------------------------------


def test_nothing_can_be_started_without_credit(cluster, applications, top_up):
    aid = cluster.application(start=False)
    top_up(-10)
    with pytest.raises(NoCreditError, match="no credit is left"):
        applications.start(application=aid)
    assert state(aid) == State.INIT
    assert "no credit" not in " ".join(reasons(aid))


def test_a_service_that_costs_more_than_is_left_is_refused(cluster, top_up, ledger):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    top_up(2 - ledger.left(1))
    with pytest.raises(NoCreditError, match="3 machines for one hour cost 3 credits"):
        cluster.run(service.add_nodes(nodes={"count": 3}))
    assert (service.get_history()[-1].state, ledger.left(1)) == (State.RUNNING, 2)
    cluster.run(service.add_nodes(nodes={"count": 2}))
    with pytest.raises(NoCreditError, match="no credit is left"):
        service.add_nodes(nodes={"count": 1})


@pytest.mark.parametrize(
    ("left", "machines", "told"),
    [
        (11, 4, []),
        (3, 4, ["You have 3 credits left: for 4 machines that is less than an hour more. "
                "For longer, ask an administrator for more."]),
        (9, 4, ["You have 9 credits left: for 4 machines that is about 2 hours more. "
                "For longer, ask an administrator for more."]),
        (1, 0, ["You have 1 credit left."]),
        (0, 0, ["You have no credit left: nothing can be started. To go on, ask an administrator "
                "for more."]),
        (0, 1, ["You have no credit left: 1 machine will be stopped at the end of the hour that "
                "is paid, and nothing new can be started. To go on, ask an administrator for "
                "more."]),
    ],
)  # fmt: skip
def test_who_has_little_is_warned(cluster, room, top_up, ledger, left, machines, told):
    if machines:
        room.want(room.application(), machines)
    if left != ledger.left(1):
        top_up(left - ledger.left(1))
    assert notices(cluster.director, 1) == told
    ledger.set_unlimited(1, True)
    assert notices(cluster.director, 1) == []
