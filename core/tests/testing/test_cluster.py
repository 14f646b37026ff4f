"""The cluster is a whole ConPaaS, and is gone without a trace afterwards."""

import sqlite3
import threading
from contextlib import suppress

import pytest

from conpaas.errors import UnreachableError
from conpaas.testing.cluster import Cluster


def test_a_service_is_started_in_one_line(cluster):
    service = cluster.service("simple")
    cluster.run(service.start())
    assert [word.word for word in service.get_words()] == ["hi"]
    assert cluster.steps and cluster.steps[-1].percent <= 100
    (agent,) = cluster.agents(1, 1)
    assert agent.agent.place.root.is_relative_to(cluster.directory)


def test_nothing_of_it_is_left(plugins):
    before = set(threading.enumerate())
    with Cluster(plugins) as cluster:
        cluster.run(cluster.service("simple").start())
        directory = cluster.directory
    assert not directory.exists()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive() or thread.daemon, thread


def test_a_director_that_is_started_again_knows_everything(cluster):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    cluster.start_director()
    assert len(service.get_words()) == 1
    cluster.run(service.add_nodes(nodes={"count": 1}))
    assert len(service.get_words()) == 2


def test_a_killed_manager_changes_nothing_any_more(cluster):
    aid = cluster.application()
    cluster.service("simple", aid)
    (machine,) = cluster.machines.values()
    dead = machine.manager
    cluster.restart(machine)
    assert machine.manager is not dead
    with pytest.raises(UnreachableError):
        dead.desk.list_services()


def test_a_manager_that_is_being_killed_takes_nobody_for_lost(cluster, monkeypatch):
    aid = cluster.application()
    cluster.run(cluster.service("simple", aid).start())
    machine = next(m for m in cluster.machines.values() if m.manager is not None)
    close, dying = machine.peers.close, machine.watch

    def close_and_look():
        close()
        with suppress(sqlite3.ProgrammingError):
            dying.round()

    monkeypatch.setattr(machine.peers, "close", close_and_look)
    cluster.restart(machine)
    assert cluster.manager(aid).host(1).nodes.lost() == []


def test_two_clusters_are_two(plugins):
    with Cluster(plugins) as one:
        one.application("here", start=False)
    with Cluster(plugins) as two:
        assert two.application("here", start=False) == 1


def test_waiting_for_what_never_comes_ends(cluster):
    with pytest.raises(TimeoutError):
        cluster.wait(lambda: False, seconds=0.02)
