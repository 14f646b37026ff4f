"""What is and what should be: the sweeper mends the difference, and only that."""

import pytest

from conpaas.api import Applications, Machines
from conpaas.clouds.base import DEPLOYMENT_TAG, MachineState
from conpaas.director.models import Machine
from conpaas.director.sweep import Sweep
from conpaas.errors import CloudError

TAGS = {DEPLOYMENT_TAG: "cluster"}


@pytest.fixture
def sweep(cluster):
    return Sweep(cluster.director)


def test_a_tagged_machine_that_nobody_knows_is_destroyed(cluster, sweep):
    cluster.application()
    cluster.provider.make("cluster-u9-a9-mgr-9", TAGS)
    sweep.round()
    assert [m.name for m in cluster.provider.machines.values()] == ["cluster-u1-a1-mgr-1"]


def test_a_machine_of_another_deployment_is_left_alone(cluster, sweep):
    theirs = cluster.provider.make("theirs", {DEPLOYMENT_TAG: "another"})
    untagged = cluster.provider.make("untagged", {})
    sweep.round()
    assert {theirs.id, untagged.id} == set(cluster.provider.machines)


def test_a_machine_is_not_swept_while_it_is_young(cluster, sweep):
    object.__setattr__(cluster.config.machines, "sweep_age", 3600.0)
    cluster.provider.make("cluster-u9-a9-mgr-9", TAGS)
    sweep.round()
    assert len(cluster.provider.machines) == 1


def test_a_volume_that_nobody_uses_is_destroyed(cluster, sweep):
    cluster.provider.make_volume("left", 10, TAGS)
    sweep.round()
    assert cluster.provider.volumes == {}


def test_a_machine_that_stopped_with_its_host_is_booted(cluster, sweep):
    cluster.application()
    (machine,) = cluster.provider.machines.values()
    cluster.provider.stop(machine.id)
    sweep.round()
    assert cluster.provider.machines[machine.id].state is MachineState.RUNNING


def test_what_a_cloud_would_not_destroy_is_destroyed_later(cluster, sweep):
    aid = cluster.application()
    cluster.provider.fail_next("destroy_machine", "try again later")
    with pytest.raises(CloudError, match="try again later"):
        cluster.run(cluster.api(Applications).stop(application=aid))
    assert len(cluster.provider.machines) == 1
    sweep.round()
    assert cluster.provider.machines == {}
    assert cluster.api(Machines).list() == ()


def test_a_manager_whose_machine_is_gone_is_replaced_and_finds_its_nodes(cluster, sweep):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    nodes = service.list_nodes()
    (manager,) = [
        m for m in cluster.provider.machines.values() if m.tags["conpaas-service"] == "0"
    ]
    cluster.provider.vanish(manager.id)
    sweep.round()
    applications = cluster.api(Applications)
    cluster.wait(
        lambda: "replace_manager done" in applications.get_history(application=aid)[-1].reason
    )
    assert service.list_nodes() == nodes
    cluster.run(service.add_nodes(nodes={"count": 1}))
    assert len(service.list_nodes()) == len(nodes) + 1


def test_one_cloud_that_fails_does_not_keep_the_rest_from_being_swept(cluster, sweep):
    aid = cluster.application()
    Machine.update(state="doomed").where(Machine.application == aid).execute()
    cluster.provider.fail_next("list_machines", "503 Service Unavailable")
    sweep.round()
    assert cluster.provider.machines == {}
