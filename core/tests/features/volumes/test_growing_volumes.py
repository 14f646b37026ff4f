"""Volumes grow, and their file systems with them."""

import pytest

from conpaas.clouds.memory import MemoryCloud
from conpaas.errors import AgentError, CloudError, InvalidError, WrongStateError
from conpaas.state import State


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
