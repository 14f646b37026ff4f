"""Volumes where clouds, agents or the director's answers fail: nothing is lost, nothing stays."""

import pytest

from conpaas.api import Applications
from conpaas.clouds.memory import MemoryCloud
from conpaas.director.sweep import Sweep
from conpaas.errors import AgentError, CloudError
from conpaas.manager.machines import ServiceMachines
from conpaas.state import State


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
