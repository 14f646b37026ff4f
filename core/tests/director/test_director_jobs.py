"""The director's jobs outlive whoever runs them."""

import json
import time
from dataclasses import asdict

import pytest

from conpaas.api import Applications
from conpaas.director.jobs import LEASE, DirectorJobs
from conpaas.director.models import Application, Job, Machine
from conpaas.director.users import Caller
from conpaas.errors import BusyError, CloudError, WrongStateError

CALLER = Caller(1, "test", True)


class Nobody:
    """A queue whose workers are all dead."""

    def __init__(self):
        self.numbers = []

    def put(self, number, for_manager=False):
        self.numbers.append(number)


@pytest.fixture
def asleep(cluster):
    """The director's jobs, recorded and run by nobody; an application that shall start."""
    aid = cluster.application(start=False)
    director = cluster.director
    jobs = DirectorJobs(Nobody(), director.object, director.declared, "asleep")
    number = jobs.submit(
        "application", director.declared("application", "start"), {"application": aid}, CALLER
    )
    return aid, number


def worker(cluster, name):
    director = cluster.director
    queue = Nobody()
    jobs = DirectorJobs(queue, director.object, director.declared, name)
    return jobs, queue


def state(aid):
    return Application.get_by_id(aid).state


def test_a_job_waits_for_a_worker_and_its_application_says_so(cluster, asleep):
    aid, number = asleep
    assert (state(aid), Job.get_by_id(number).state) == ("PROLOGUE", "queued")
    jobs, _ = worker(cluster, "w")
    jobs.run(number)
    assert (state(aid), Job.get_by_id(number).state) == ("RUNNING", "done")


def test_only_one_of_two_workers_runs_a_job(cluster, asleep):
    aid, number = asleep
    first, second = worker(cluster, "one")[0], worker(cluster, "two")[0]
    Job.update(state="running", worker="one", heartbeat=time.time()).execute()
    second.run(number)
    assert (state(aid), len(cluster.provider.machines)) == ("PROLOGUE", 0)
    Job.update(heartbeat=time.time() - LEASE - 1).execute()
    second.run(number)
    first.run(number)
    assert (state(aid), len(cluster.provider.machines)) == ("RUNNING", 1)


def test_a_worker_that_starts_takes_up_what_it_ran_before(cluster, asleep):
    _, number = asleep
    Job.update(state="running", worker="me/1", heartbeat=time.time()).execute()
    jobs, queue = worker(cluster, "me")
    jobs.take_up(own=True)
    assert queue.numbers == [number]


def test_the_job_of_a_living_worker_is_not_taken_up_by_another(cluster, asleep):
    Job.update(state="running", worker="alive", heartbeat=time.time()).execute()
    jobs, queue = worker(cluster, "other")
    jobs.take_up()
    assert queue.numbers == []


@pytest.mark.parametrize("step", range(1, 12))
def test_a_start_that_is_cut_off_at_any_step_is_finished_by_another_worker(cluster, asleep, step):
    aid, number = asleep
    applications = cluster.director.object("application", CALLER)
    job = applications.start(application=aid)
    for _ in range(step):
        if next(job, None) is None:
            break
    # The process dies here: its generator is never closed, its machines boot on.
    jobs, _ = worker(cluster, "next")
    jobs.run(number)
    assert state(aid) == "RUNNING"
    assert len(cluster.provider.machines) == 1
    living = Machine.select().where(Machine.state != "gone")
    assert [m.name for m in living] == [m.name for m in cluster.provider.machines.values()]
    del job


def test_a_second_job_is_told_that_the_first_is_at_work(cluster, asleep):
    aid, number = asleep
    with pytest.raises(BusyError, match=f"job {number}"):
        cluster.api(Applications).start(application=aid)


def test_a_stop_cancels_a_start(cluster, asleep):
    aid, number = asleep
    Application.update(state="PROLOGUE").execute()
    cluster.provider.get_stuck_next()
    jobs, _ = worker(cluster, "w")
    import threading

    threading.Thread(target=jobs.run, args=(number,)).start()
    cluster.wait(lambda: len(cluster.provider.machines) == 1)
    cluster.run(cluster.api(Applications).stop(application=aid))
    assert Job.get_by_id(number).state == "cancelled"
    assert (state(aid), cluster.provider.machines) == ("STOPPED", {})


def test_a_start_in_the_wrong_state_is_refused_and_leaves_no_job(cluster):
    aid = cluster.application()
    before = Job.select().count()
    with pytest.raises(WrongStateError, match="RUNNING"):
        cluster.api(Applications).start(application=aid)
    assert Job.select().count() == before


def test_a_machine_that_dies_in_boot_is_told_with_its_last_words(cluster):
    cluster.provider.die_in_boot_next("Kernel panic - not syncing: no init found")
    with pytest.raises(CloudError, match="no init found"):
        cluster.application()
    assert cluster.provider.machines == {}
    assert state(1) == "ERROR"
    cluster.run(cluster.api(Applications).stop(application=1))
    cluster.run(cluster.api(Applications).start(application=1))
    assert state(1) == "RUNNING"


def test_an_answer_of_the_cloud_that_got_lost_leaks_no_machine(cluster):
    cluster.provider.lose_next_answer()
    with pytest.raises(CloudError, match="did not answer in time"):
        cluster.application()
    assert cluster.provider.machines == {}


def test_asking_twice_with_one_key_gives_the_same_machines(cluster):
    aid = cluster.application()
    cluster.service("simple", aid)
    desk = cluster.manager(aid).desk
    first = cluster.run(desk.create_machines(service=1, roles=("node", "node"), key="k"))
    again = cluster.run(desk.create_machines(service=1, roles=("node", "node"), key="k"))
    assert [m.id for m in first] == [m.id for m in again]
    assert len(cluster.provider.machines) == 3


def test_the_record_of_a_job_holds_no_secret(cluster, asleep):
    _, number = asleep
    row = Job.get_by_id(number)
    assert json.loads(row.caller) == asdict(CALLER)
    assert "token" not in row.arguments
