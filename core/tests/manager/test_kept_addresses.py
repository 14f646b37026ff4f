"""A lost node whose role keeps its address is replaced by one at the same address."""

import pytest
from inside import Inside

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.clouds.memory import MemoryCloud
from conpaas.errors import CloudError
from conpaas.manager.base import ServiceManager
from conpaas.manager.nodes import NodeState
from conpaas.plugins import Plugins
from conpaas.service import Role, Service
from conpaas.state import State


class DoorManager(ServiceManager[ServiceAgent]):
    """Has a door, and rooms behind it."""

    first_roles = ("door",)

    def on_start(self, nodes):
        """Nothing to do."""


class Door:
    @hookimpl
    def conpaas_service(self):
        return Service(
            name="door", title="Door", manager=DoorManager, agent=ServiceAgent,
            roles=(
                Role("room", "Is behind it", replace_lost=True),
                Role("door", "Is known", replace_lost=True, keep_address=True),
            ),
        )  # fmt: skip


class Application(Inside):
    """A service with a door and a room."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.service = cluster.service("door", self.aid)
        self.run(self.service.start())
        self.run(self.service.add_nodes(nodes={"room": 1}))

    def node(self, role):
        (found,) = [n for n in self.manager.book.nodes(1) if n.role == role]
        return found

    def words(self):
        """Return what the last job said, step by step."""
        return [step.message for step in self.manager.runner.report(self.last_job()).steps]

    def last_job(self):
        return self.manager.runner.latest(1)[0].id

    def consistent(self):
        """Say that the cloud has the manager's machine and the nodes', each at its address."""
        nodes = {node.machine: node.address for node in self.manager.book.nodes(1)}
        cloud = {
            int(machine.tags["conpaas-machine"]): machine.address
            for machine in self.cluster.provider.machines.values()
            if machine.tags.get("conpaas-service", "0") != "0"
        }
        assert cloud == nodes
        assert {n.state for n in self.manager.book.nodes(1)} == {NodeState.READY}
        assert self.manager.host(1).state() is State.RUNNING


@pytest.fixture
def plugins():
    return Plugins(door=Door())


@pytest.fixture
def app(cluster):
    return Application(cluster)


def test_the_address_is_kept_when_the_machine_vanished(app):
    before = app.node("door")
    app.vanish(before)
    app.look()
    after = app.node("door")
    assert (after.address, after.position) == (before.address, before.position)
    assert after.id != before.id
    assert f"address {before.address} kept" in app.words()
    app.consistent()


def test_the_address_is_kept_when_the_machine_is_still_there_and_silent(app):
    before = app.node("door")
    app.cluster.cut(app.cluster.machine(before.machine))
    app.look()
    assert app.node("door").address == before.address
    app.consistent()
    app.look()
    app.consistent()


def test_another_roles_node_gets_another_address(app):
    before = app.node("room")
    app.vanish(before)
    app.look()
    assert app.node("room").address != before.address
    assert not [word for word in app.words() if "address" in word]


def test_of_several_lost_at_once_each_has_its_own_address_again(app):
    app.cluster.run(app.service.add_nodes(nodes={"door": 2}))
    before = {n.position: n.address for n in app.manager.book.nodes(1) if n.role == "door"}
    for node in app.manager.book.nodes(1):
        app.vanish(node)
    app.look()
    after = {n.position: n.address for n in app.manager.book.nodes(1) if n.role == "door"}
    assert after == before
    app.consistent()


def test_a_cloud_that_cannot_keep_addresses_gives_another_and_the_job_says_so(app, monkeypatch):
    monkeypatch.setattr(MemoryCloud, "keeps_addresses", False)
    before = app.node("door")
    app.vanish(before)
    app.look()
    after = app.node("door")
    assert after.address != before.address
    assert (
        f"the cloud memory cannot keep addresses: it was {before.address}, "
        f"it is {after.address} now"
    ) in app.words()
    app.consistent()


def test_an_address_that_was_taken_meanwhile_is_not_used_twice(app):
    before = app.node("door")
    app.vanish(before)
    app.cluster.provider.make("somebody else's", {}, before.address)
    app.look()
    after = app.node("door")
    assert after.address != before.address
    told = f"it was {before.address}, it is {after.address} now"
    assert f"the address could not be kept, something else has it: {told}" in app.words()
    app.consistent()


def test_a_failed_try_keeps_the_address_for_the_next_one(app):
    before = app.node("door")
    app.vanish(before)
    app.cluster.provider.fail_next("create_machine", "no more today")
    app.look()
    assert "no more today" in app.manager.runner.report(app.last_job()).message
    assert app.node("door").state is NodeState.LOST
    app.look()
    assert app.node("door").address == before.address
    app.consistent()


def test_it_is_in_the_cloud_that_the_lost_one_was_in(app):
    other = MemoryCloud("other", app.cluster.provider.settings, "cluster", app.cluster.provider)
    app.cluster.director.clouds["other"] = other
    app.cluster.run(app.service.add_nodes(nodes={"door": 1}, cloud="other"))
    lost = [n for n in app.manager.book.nodes(1) if n.role == "door"][-1]
    assert lost.cloud == "other"
    app.vanish(lost)
    app.look()
    assert [n.cloud for n in app.manager.book.nodes(1) if n.address == lost.address] == ["other"]


def test_repair_keeps_the_address_too(app):
    before = app.node("door")
    app.vanish(before)
    app.manager.book.lose(before)
    app.cluster.run(app.service.repair())
    after = app.node("door")
    assert (after.address, after.position) == (before.address, before.position)
    app.consistent()


def test_a_manager_that_dies_while_it_replaces_a_node_keeps_the_address(app, dying, writes):
    for number in writes():
        before = app.node("door")
        app.vanish(before)
        died = dying(app, app.look, number)
        app.idle()
        app.cluster.wait(lambda: (app.look(), app.node("door").state is NodeState.READY)[1])
        app.idle()
        assert app.node("door").address == before.address, f"killed at write {number}"
        app.consistent()
        if not died:
            break
    assert number > 5


def test_a_directors_worker_that_dies_meanwhile_keeps_the_address_too(app, dying_worker, writes):
    for number in writes():
        before = app.node("door")
        app.vanish(before)
        died = dying_worker(app.look, number)
        assert app.node("door").address == before.address, f"killed at write {number}"
        app.consistent()
        if not died:
            break
    assert number > 5


def test_credit_and_quota_are_asked_before_anything_is_given_up(app):
    before = app.node("door")
    app.cluster.cut(app.cluster.machine(before.machine))

    class Miser:
        @hookimpl
        def conpaas_machines_wanted(self, machines):
            raise CloudError("too expensive")

    miser = Miser()
    app.cluster.plugins._add("miser", miser)
    app.look()
    assert "too expensive" in app.manager.runner.report(app.last_job()).message
    assert app.cluster.machine(before.machine), "it is silent, and still there"


def test_the_machine_of_a_fenced_node_is_gone_and_who_replaces_it_has_its_address(app):
    before = app.node("door")
    host = app.manager.host(1)
    app.cluster.cut(app.cluster.machine(before.machine))
    app.manager.lose(before, "silent")
    for _ in range(2):
        app.cluster.run(host.machines.fence([before]))
        assert before.machine not in {m.number for m in app.cluster.machines.values()}
        assert app.node("door").state is NodeState.LOST
    app.look()
    after = app.node("door")
    assert after.id != before.id
    assert (after.address, after.position) == (before.address, before.position)
