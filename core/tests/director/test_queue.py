"""Jobs reach a worker through the database, soon, once, and without much looking."""

import threading
import time

import pytest

from conpaas.director.database import migrate, open_database
from conpaas.director.queue import HueyQueue


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

    def work():
        while not over.is_set():
            task = queue.huey.dequeue()
            if task is not None:
                queue.huey.execute(task)
        queue.huey.storage.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
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
    execute = queue.huey.storage.database.execute_sql

    def count(sql, *rest, **more):
        looks.append(sql)
        return execute(sql, *rest, **more)

    queue.huey.storage.database.execute_sql = count
    time.sleep(0.5)
    assert 1 <= len(looks) <= 25  # as many as one of them would


def test_a_worker_that_finds_nothing_comes_back(queue):
    begin = time.monotonic()
    assert queue.huey.dequeue() is None
    assert time.monotonic() - begin < 5
