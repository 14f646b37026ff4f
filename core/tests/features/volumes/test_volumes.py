"""Volumes as their users see them: through director, manager and agents."""

import threading

import pytest

from conpaas.api import Applications, Services
from conpaas.errors import AgentError, BusyError, InvalidError, NotFoundError, WrongStateError
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


def test_a_bad_name_is_refused_and_nothing_is_made(shop):
    for name in ("", "a b", "a/b", "..", "a\n", "ü", "x" * 65, "a.b", "[", "$(reboot)"):
        with pytest.raises(InvalidError, match="vol_name"):
            shop.create(name)
        assert shop.in_cloud() == [], name


def test_a_bad_size_is_refused_and_nothing_is_made(shop):
    for size in (0, -1, (1 << 20) + 1, 1 << 62):
        with pytest.raises(InvalidError, match="vol_size"):
            shop.create(size=size)
        assert shop.in_cloud() == [], size


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
    manager = plugins.service("storing").manager_class
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
