"""Jobs reach a worker through the database, soon, once, and without much looking."""

import queue as queues
import threading
import time

import pytest

from conpaas.api import Applications
from conpaas.director.database import migrate, open_database
from conpaas.director.queue import HueyQueue, ThreadQueue


@pytest.fixture
def queue(tmp_path):
    opened = open_database("", tmp_path)
    migrate(opened)
    yield HueyQueue(opened)
    opened.close()


@pytest.fixture
def workers(queue):
    """Run four workers, as the director's process does."""
    done = []
    queue.run = done.append
    over = threading.Event()

    def work(lane):
        while not over.is_set():
            task = lane.dequeue()
            if task is not None:
                lane.execute(task)
        lane.storage.close()

    threads = [threading.Thread(target=work, args=(queue.lanes[0],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield done
    over.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_each_job_is_run_once(queue, workers):
    for number in range(20):
        queue.put(number)
    until = time.monotonic() + 10
    while len(workers) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert sorted(workers) == list(range(20))


def test_waiting_workers_look_seldom(queue, workers):
    looks = []
    execute = queue.lanes[0].storage.database.execute_sql

    def count(sql, *rest, **more):
        looks.append(sql)
        return execute(sql, *rest, **more)

    queue.lanes[0].storage.database.execute_sql = count
    time.sleep(0.5)
    assert 1 <= len(looks) <= 25  # as many as one of them would


def test_a_worker_that_finds_nothing_comes_back(queue):
    begin = time.monotonic()
    assert queue.lanes[0].dequeue() is None
    assert time.monotonic() - begin < 5


class OneEach:
    """One worker for the users' jobs and one for the managers'."""

    def __init__(self, run):
        self.run = run
        self.lanes = [queues.SimpleQueue(), queues.SimpleQueue()]
        for lane in self.lanes:
            threading.Thread(target=self.work, args=(lane,), daemon=True).start()

    def work(self, lane):
        while (number := lane.get()) is not None:
            self.run(number)

    def put(self, number, for_manager=False):
        self.lanes[for_manager].put(number)

    def join(self):
        for lane in self.lanes:
            lane.put(None)


def test_a_job_that_waits_for_its_managers_jobs_never_keeps_them_from_their_workers(cluster):
    applications = cluster.api(Applications)
    first, second = cluster.application("one"), cluster.application("two")
    for aid in (first, second):
        cluster.run(cluster.service("simple", aid).start())
    cluster._queue = cluster.director.jobs._queue = OneEach(cluster._in_worker)
    jobs = [applications.stop(application=aid) for aid in (first, second)]
    for job in jobs:
        cluster.run(job)
    assert cluster.provider.machines == {}


def test_managers_jobs_have_workers_of_their_own(queue):
    queue.put(1)
    queue.put(2, for_manager=True)
    done = []
    queue.run = done.append
    queue.lanes[1].execute(queue.lanes[1].dequeue())
    assert done == [2]
    queue.lanes[0].execute(queue.lanes[0].dequeue())
    assert done == [2, 1]


def test_whoever_waits_for_threads_waits_for_those_that_begin_meanwhile_too():
    queue, done, begun = ThreadQueue(), [], threading.Event()

    def run(number):
        if number:
            queue.put(number - 1)
        begun.set()
        time.sleep(0.01)
        done.append(number)

    queue.run = run
    for _ in range(20):
        queue.put(3)
    begun.wait()
    queue.join()
    assert sorted(done) == sorted([3, 2, 1, 0] * 20)
