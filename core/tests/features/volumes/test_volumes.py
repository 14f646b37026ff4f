"""Volumes as their users see them: through director, manager and agents."""

import threading

import pytest

from conpaas.api import Applications, Services
from conpaas.clouds.memory import MemoryCloud
from conpaas.director.sweep import Sweep
from conpaas.errors import (
    AgentError,
    BusyError,
    CloudError,
    InvalidError,
    NotFoundError,
    WrongStateError,
)
from conpaas.manager.machines import ServiceMachines
from conpaas.rpc import operations
from conpaas.state import State


def test_a_volume_is_created_attached_formatted_and_mounted(shop):
    node = shop.nodes()[0].agent_id
    made = shop.create("data", 10)
    assert (made.vol_name, made.vol_size, made.agent_id, made.rounded) == ("data", 10, node, "")
    assert shop.path(node).is_dir()
    assert shop.in_cloud() == [("cluster-u1-a1-v1-data", "m-2")]
    (row,) = shop.user.list_volumes()
    assert (row.aid, row.sid, row.vol_name, row.vol_size) == (shop.aid, 1, "data", 10)
    assert (row.agent_id, row.cloud, row.state) == (node, "memory", "attached")
    tags = next(iter(shop.cluster.provider.volumes.values())).tags
    assert tags["conpaas-application"] == str(shop.aid)
    assert tags["conpaas-service"] == "1"


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "..", "a\n", "ü", "x" * 65, "a.b", "[", "$(reboot)"]
)
def test_a_bad_name_is_refused_and_nothing_is_made(shop, name):
    with pytest.raises(InvalidError, match="vol_name"):
        shop.create(name)
    assert shop.in_cloud() == []


@pytest.mark.parametrize("size", [0, -1, (1 << 20) + 1, 1 << 62])
def test_a_bad_size_is_refused_and_nothing_is_made(shop, size):
    with pytest.raises(InvalidError, match="vol_size"):
        shop.create(size=size)
    assert shop.in_cloud() == []


def test_a_name_is_taken_in_the_whole_application_until_its_volume_is_deleted(shop):
    shop.create()
    other = shop.cluster.service("storing", shop.aid)
    shop.cluster.run(other.start())
    (node,) = other.list_nodes()
    again = {"vol_name": "data", "vol_size": 1, "agent_id": node.agent_id}
    with pytest.raises(InvalidError, match="has a volume 'data' already, of service 1"):
        other.create_volume(**again)
    shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    shop.cluster.run(other.create_volume(**again))
    assert [row.sid for row in other.list_volumes()] == [2]
    assert shop.volumes() == []


def test_what_the_cloud_rounds_up_is_told(shop, monkeypatch):
    make = shop.cluster.provider.make_volume
    monkeypatch.setattr(
        shop.cluster.provider, "make_volume", lambda name, size, tags: make(name, 1024, tags)
    )
    made = shop.create(size=10)
    assert made.vol_size == 1024
    assert made.rounded == " Its size is 1024 MB: the cloud memory rounds 10 MB up."
    assert shop.user.list_volumes()[0].vol_size == 1024


def test_an_unknown_node_or_volume_is_refused_with_the_nearest(shop):
    with pytest.raises(NotFoundError, match="no node 'node-9'"):
        shop.create(node="node-9")
    shop.create()
    with pytest.raises(NotFoundError, match="no volume 'dats'; did you mean 'data'"):
        shop.user.delete_volume(vol_name="dats")


def test_a_deleted_volume_is_gone_everywhere(shop):
    shop.create()
    node = shop.nodes()[0].agent_id
    (shop.path(node) / "file").write_text("precious")
    shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    assert (shop.volumes(), shop.in_cloud(), shop.states()) == ([], [], [])
    assert not shop.path(node).exists()
    shop.create()
    assert list(shop.path(node).iterdir()) == []


def test_a_volume_in_use_is_neither_deleted_nor_detached_and_its_users_are_named(shop):
    shop.create()
    node = shop.nodes()[0].agent_id
    shop.machine_of(node).mounts.busy["data"] = ["bash (1234)"]
    for ask in (shop.user.delete_volume, shop.user.detach_volume):
        with pytest.raises(AgentError, match=r"in use on node-2 by bash \(1234\)"):
            shop.cluster.run(ask(vol_name="data"))
        assert shop.path(node).exists()
        assert [v[1:] for v in shop.volumes()] == [(node, "attached")]
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING
    shop.machine_of(node).mounts.busy.clear()
    shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    assert shop.in_cloud() == []


def test_a_volume_goes_from_one_node_to_another_with_what_is_on_it(shop):
    shop.create()
    shop.add(count=1)
    first, second = [node.agent_id for node in shop.nodes()]
    (shop.path(first) / "file").write_text("precious")
    with pytest.raises(WrongStateError, match=f"attached to {first}: detach it first"):
        shop.user.attach_volume(vol_name="data", agent_id=second)
    shop.cluster.run(shop.user.detach_volume(vol_name="data"))
    assert shop.volumes() == [("data", "", "detached")]
    assert not shop.path(first).exists()
    shop.cluster.run(shop.user.attach_volume(vol_name="data", agent_id=second))
    assert shop.volumes() == [("data", second, "attached")]
    assert (shop.path(second) / "file").read_text() == "precious"


def test_volumes_are_kept_over_a_stop_and_are_there_before_the_service_starts(shop):
    shop.create()
    (shop.path(shop.nodes()[0].agent_id) / "file").write_text("precious")
    shop.cluster.run(shop.user.stop())
    assert shop.volumes() == [("data", "", "waiting for node")]
    assert [machine for _, machine in shop.in_cloud()] == [None]
    shop.cluster.run(shop.user.start())
    node = shop.nodes()[0].agent_id
    assert shop.volumes() == [("data", node, "attached")]
    assert (shop.path(node) / "file").read_text() == "precious"
    assert shop.user.get_begun() == [[], ["data"]]


def test_volumes_are_kept_over_a_stop_of_the_application(shop):
    shop.create()
    applications = shop.cluster.api(Applications)
    shop.cluster.run(applications.stop(application=shop.aid))
    assert [machine for _, machine in shop.in_cloud()] == [None]
    shop.cluster.run(applications.start(application=shop.aid))
    shop.cluster.run(shop.user.start())
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_each_node_gets_the_volume_of_its_role_and_position_again(shop):
    shop.add(count=1, keeper=1)
    for name, node in zip(("first", "second", "kept"), shop.nodes(), strict=True):
        shop.create(name, node=node.agent_id)
    roles = [(node.role) for node in shop.nodes()]
    assert sorted(roles) == ["keeper", "node", "node"]
    where = {
        row.vol_name: next(n.role for n in shop.nodes() if n.agent_id == row.agent_id)
        for row in shop.user.list_volumes()
    }
    shop.restart_service()
    shop.add(keeper=1)
    shop.add(count=1)
    nodes = {node.agent_id: node.role for node in shop.nodes()}
    assert {v[0]: nodes[v[1]] for v in shop.volumes()} == where
    assert len({v[1] for v in shop.volumes()}) == 3
    assert {v[2] for v in shop.volumes()} == {"attached"}


def test_removing_a_node_keeps_its_volumes_for_somebody_else(shop):
    shop.add(count=1)
    first, second = [node.agent_id for node in shop.nodes()]
    shop.create(node=second)
    (shop.path(second) / "file").write_text("precious")
    shop.remove(count=1)
    said = [step.message for step in shop.cluster.steps]
    assert "detaching data: kept, with what is on them" in said
    assert shop.volumes() == [("data", "", "detached")]
    shop.add(count=1)
    assert shop.volumes() == [("data", "", "detached")]
    shop.cluster.run(shop.user.attach_volume(vol_name="data", agent_id=first))
    assert (shop.path(first) / "file").read_text() == "precious"


def test_the_volumes_of_a_lost_node_go_to_its_replacement(shop):
    shop.add(count=1)
    lost = shop.nodes()[0]
    shop.create(node=lost.agent_id)
    (shop.path(lost.agent_id) / "file").write_text("precious")
    shop.cluster.provider.vanish("m-2")
    shop.cluster.look()
    shop.cluster.wait(lambda: lost.agent_id not in [n.agent_id for n in shop.nodes()])
    shop.cluster.wait(lambda: shop.cluster.state(shop.aid, 1) is State.RUNNING)
    ((_, heir, state),) = shop.volumes()
    assert state == "attached"
    assert heir == shop.nodes()[-1].agent_id
    assert (shop.path(heir) / "file").read_text() == "precious"
    # The replacement has taken the place for good: the first node of the next start is its heir.
    shop.restart_service()
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_a_lost_node_that_nobody_replaces_leaves_its_volume_to_the_next_of_its_role(shop):
    shop.add(keeper=1)
    keeper = next(n for n in shop.nodes() if n.role == "keeper").agent_id
    shop.create(node=keeper)
    shop.cluster.provider.vanish("m-3")
    shop.cluster.look()
    shop.cluster.run(shop.user.repair())
    assert shop.volumes() == [("data", "", "waiting for keeper")]
    shop.add(keeper=1)
    keeper = next(n for n in shop.nodes() if n.role == "keeper").agent_id
    assert shop.volumes() == [("data", keeper, "attached")]


def test_a_volume_of_a_lost_node_can_be_deleted(shop):
    shop.add(keeper=1)
    keeper = next(n for n in shop.nodes() if n.role == "keeper").agent_id
    shop.create(node=keeper)
    shop.cluster.cut(shop.machine_of(keeper))
    shop.cluster.look()
    shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    assert (shop.volumes(), shop.in_cloud()) == ([], [])


def test_volumes_are_mounted_again_when_the_machine_has_booted(shop):
    shop.create()
    node = shop.nodes()[0].agent_id
    (shop.path(node) / "file").write_text("precious")
    machine = shop.machine_of(node)
    machine.mounts.reboot()
    assert not shop.path(node).exists()
    shop.cluster.restart(machine)
    assert (shop.path(node) / "file").read_text() == "precious"


def test_a_stopped_service_can_delete_its_volumes_and_make_none(shop):
    shop.create()
    node = shop.nodes()[0].agent_id
    shop.cluster.run(shop.user.stop())
    with pytest.raises(WrongStateError, match="STOPPED"):
        shop.create("other", node=node)
    shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    assert shop.in_cloud() == []
    assert shop.cluster.state(shop.aid, 1) is State.STOPPED


def test_removing_the_service_destroys_its_volumes_and_only_those(shop):
    shop.create()
    other = shop.cluster.service("storing", shop.aid)
    shop.cluster.run(other.start())
    (node,) = other.list_nodes()
    shop.cluster.run(other.create_volume(vol_name="b", vol_size=1, agent_id=node.agent_id))
    shop.cluster.run(shop.cluster.api(Services).remove(application=shop.aid, service=1))
    assert [name for name, _ in shop.in_cloud()] == ["cluster-u1-a1-v2-b"]


def test_deleting_the_application_destroys_its_volumes(shop):
    shop.create()
    shop.cluster.run(shop.cluster.api(Applications).delete(application=shop.aid))
    assert (shop.in_cloud(), shop.states()) == ([], [])


def test_confirmations_say_that_data_is_lost(plugins):
    manager = plugins.service("storing").manager
    assert "all data on it is lost" in operations(manager)["delete_volume"].confirm
    assert "volumes and what is on them" in operations(Applications)["delete"].confirm
    assert "volumes and what is on them" in operations(Services)["remove"].confirm
    assert "volumes are kept" in operations(manager)["stop"].confirm


def test_a_handler_has_a_volume_by_asking_for_it_and_the_same_one_again(shop):
    shop.cluster.run(shop.user.stop())
    shop.cluster.manager(shop.aid).host(1).store["own"] = True
    shop.cluster.run(shop.user.start())
    node = shop.nodes()[0].agent_id
    assert shop.volumes() == [("own-node-0", node, "attached")]
    (shop.path(node, "own-node-0") / "file").write_text("precious")
    shop.restart_service()
    node = shop.nodes()[0].agent_id
    assert shop.volumes() == [("own-node-0", node, "attached")]
    assert (shop.path(node, "own-node-0") / "file").read_text() == "precious"


# -- when clouds fail -----------------------------------------------------------------------------


def test_a_cloud_that_makes_no_volume_leaves_nothing_behind(shop):
    shop.cluster.provider.fail_next("create_volume", "VolumeLimitExceeded")
    with pytest.raises(CloudError, match="VolumeLimitExceeded"):
        shop.create()
    assert (shop.volumes(), shop.in_cloud(), shop.states()) == ([], [], [])
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING
    shop.create()
    assert len(shop.in_cloud()) == 1


def test_a_cloud_that_does_not_attach_leaves_nothing_behind(shop):
    shop.cluster.provider.fail_next("attach_volume", "IncorrectState")
    with pytest.raises(CloudError, match="IncorrectState"):
        shop.create()
    assert (shop.volumes(), shop.in_cloud(), shop.states()) == ([], [], [])


def test_a_volume_whose_answer_gets_lost_is_found_by_its_name(shop):
    shop.cluster.provider.lose_next_answer()
    shop.create()
    assert [v[2] for v in shop.volumes()] == ["attached"]
    assert len(shop.in_cloud()) == 1


def test_an_agent_that_cannot_mount_leaves_nothing_behind(shop, monkeypatch):
    node = shop.nodes()[0].agent_id

    def broken(device):
        raise AgentError("mkfs.ext4: no space left on device")

    monkeypatch.setattr(shop.machine_of(node).mounts, "format", broken)
    with pytest.raises(AgentError, match="no space left"):
        shop.create()
    assert (shop.volumes(), shop.in_cloud()) == ([], [])
    monkeypatch.undo()
    shop.create()
    assert [v[2] for v in shop.volumes()] == ["attached"]


def test_a_start_without_its_volumes_fails_and_a_repair_brings_them(shop):
    shop.create()
    shop.cluster.run(shop.user.stop())
    # While the agents are on their way, and when they are there.
    shop.cluster.provider.fail_next("attach_volume", "InternalError", times=2)
    with pytest.raises(CloudError, match="InternalError"):
        shop.cluster.run(shop.user.start())
    assert shop.cluster.state(shop.aid, 1) is State.ERROR
    assert shop.volumes() == [("data", "", "waiting for node")]
    shop.cluster.run(shop.user.repair())
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_a_start_asks_again_for_a_volume_that_could_not_be_attached_ahead(shop):
    shop.create()
    shop.cluster.run(shop.user.stop())
    shop.cluster.provider.fail_next("attach_volume", "InternalError")
    shop.cluster.run(shop.user.start())
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_a_start_attaches_volumes_before_the_agents_answer_and_only_once(shop, monkeypatch):
    shop.create()
    shop.cluster.run(shop.user.stop())
    order = []
    attach, wait = MemoryCloud.attach_volume, ServiceMachines._wait
    monkeypatch.setattr(
        MemoryCloud, "attach_volume", lambda *given: (order.append("attach"), attach(*given))[1]
    )
    monkeypatch.setattr(
        ServiceMachines, "_wait", lambda *given: (order.append("wait"), wait(*given))[1]
    )
    shop.cluster.run(shop.user.start())
    assert order == ["attach", "wait"]
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_a_volume_that_a_cloud_would_not_destroy_is_destroyed_later(shop):
    shop.create()
    shop.cluster.provider.fail_next("destroy_volume", "try again later")
    with pytest.raises(CloudError, match="try again later"):
        shop.cluster.run(shop.user.delete_volume(vol_name="data"))
    assert shop.volumes() == [("data", "", "deleting")]
    Sweep(shop.cluster.director).round()
    assert (shop.volumes(), shop.in_cloud(), shop.states()) == ([], [], [])


def test_the_sweeper_leaves_detached_volumes_alone_that_a_record_wants(shop):
    shop.create()
    shop.cluster.run(shop.user.stop())
    shop.cluster.provider.make_volume(
        "cluster-u1-a1-v9-left", 5, {"conpaas-deployment": "cluster"}
    )
    Sweep(shop.cluster.director).round()
    assert [name for name, _ in shop.in_cloud()] == ["cluster-u1-a1-v1-data"]


@pytest.fixture
def slow(shop, monkeypatch):
    """A cloud that takes its time to answer: (it has begun, let it go on)."""
    begun, go = threading.Event(), threading.Event()

    def slowly(name):
        begun.set()
        assert go.wait(10)

    monkeypatch.setattr(shop.cluster.provider, "answer", slowly)
    yield begun, go
    go.set()


def test_volumes_are_changed_one_after_the_other(shop, slow):
    begun, go = slow
    node = shop.nodes()[0].agent_id
    first = shop.user.create_volume(vol_name="data", vol_size=1, agent_id=node)
    assert begun.wait(10)
    with pytest.raises(BusyError, match="create_volume"):
        shop.user.delete_volume(vol_name="data")
    assert shop.volumes() == [("data", "", "creating")]
    go.set()
    shop.cluster.run(first)
    assert shop.volumes() == [("data", node, "attached")]


def test_a_stop_takes_precedence_and_the_volume_is_there_at_the_next_start(shop, slow):
    begun, go = slow
    node = shop.nodes()[0].agent_id
    shop.user.create_volume(vol_name="data", vol_size=1, agent_id=node)
    assert begun.wait(10)
    shop.cluster.run(shop.user.stop())
    go.set()
    shop.cluster.wait(lambda: shop.states() == ["available"])
    shop.cluster.run(shop.user.start())
    assert shop.volumes() == [("data", shop.nodes()[0].agent_id, "attached")]


def test_an_application_whose_volume_is_not_destroyed_is_kept_until_it_is(shop):
    shop.create()
    applications = shop.cluster.api(Applications)
    shop.cluster.provider.fail_next("destroy_volume", "try again later")
    with pytest.raises(CloudError, match="try again later"):
        shop.cluster.run(applications.delete(application=shop.aid))
    assert shop.states() == ["doomed"]
    shop.cluster.run(applications.delete(application=shop.aid))
    assert (shop.in_cloud(), applications.list()) == ([], ())


def test_a_node_that_is_given_back_leaves_its_volume_waiting_as_before(shop):
    shop.add(count=1)
    shop.create(node=shop.nodes()[1].agent_id)
    shop.cluster.run(shop.user.stop())
    shop.cluster.run(shop.user.start(first=True))
    assert shop.volumes() == [("data", "", "waiting for node 2")]
    store = shop.cluster.manager(shop.aid).host(1).store
    store["broken"] = True
    with pytest.raises(AgentError, match="the node burns"):
        shop.add(count=1)
    assert shop.volumes() == [("data", "", "waiting for node 2")]
    store["broken"] = False
    shop.add(count=1)
    assert shop.volumes() == [("data", shop.nodes()[1].agent_id, "attached")]


def test_a_volume_grows_while_its_node_uses_it_and_keeps_what_is_on_it(shop):
    shop.create("data", 10)
    node = shop.nodes()[0].agent_id
    (shop.path(node) / "file").write_text("precious")
    mounts = shop.machine_of(node).mounts
    mounts.grown.clear()
    row = shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=30))
    assert (row.vol_size, row.agent_id, row.state) == (30, node, "attached")
    assert [v.size for v in shop.cluster.provider.volumes.values()] == [30]
    assert len(mounts.grown) == 1
    assert (shop.path(node) / "file").read_text() == "precious"
    again = shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=30))
    assert again == row
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING


def test_a_volume_that_is_attached_to_no_node_grows_and_its_file_system_follows(shop):
    shop.create("data", 10)
    shop.cluster.run(shop.user.stop())
    row = shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=20))
    assert (row.vol_size, row.state) == (20, "waiting for node")
    shop.cluster.run(shop.user.start())
    assert len(shop.machine_of(shop.nodes()[0].agent_id).mounts.grown) == 1
    assert shop.user.list_volumes()[0].vol_size == 20


@pytest.mark.parametrize("size", [9, 0, -1, (1 << 20) + 1])
def test_a_volume_gets_neither_smaller_nor_larger_than_is_allowed(shop, size):
    shop.create("data", 10)
    with pytest.raises(InvalidError, match="vol_size"):
        shop.user.grow_volume(vol_name="data", vol_size=size)
    assert [v.size for v in shop.cluster.provider.volumes.values()] == [10]


def test_a_cloud_that_cannot_grow_volumes_says_so_and_all_stays_as_it_was(shop):
    shop.create("data", 10)
    shop.cluster.provider.fail_next("grow_volume", "no room")
    with pytest.raises(CloudError, match="no room"):
        shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=20))
    assert [row.vol_size for row in shop.user.list_volumes()] == [10]
    assert shop.cluster.state(shop.aid, 1) is State.RUNNING
    shop.cluster.provider.lose_next_answer()
    assert shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=20)).vol_size == 20


def test_where_the_cloud_wants_it_a_volume_is_detached_for_a_moment_to_grow(shop, monkeypatch):
    shop.create("data", 10)
    node = shop.nodes()[0].agent_id
    (shop.path(node) / "file").write_text("precious")
    grow = MemoryCloud.grow_volume

    def grow_detached(self, volume_id, size):
        if self.provider.volumes[volume_id].machine:
            raise WrongStateError("it is attached")
        return grow(self, volume_id, size)

    monkeypatch.setattr(MemoryCloud, "grow_volume", grow_detached)
    shop.machine_of(node).mounts.busy["data"] = ["bash (1234)"]
    with pytest.raises(AgentError, match="in use on node-2 by bash"):
        shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=30))
    assert shop.volumes() == [("data", node, "attached")]
    shop.machine_of(node).mounts.busy.clear()
    row = shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=30))
    assert (row.vol_size, row.agent_id, row.state) == (30, node, "attached")
    assert (shop.path(node) / "file").read_text() == "precious"
