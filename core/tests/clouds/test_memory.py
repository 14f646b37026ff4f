"""The cloud in memory keeps the contract, and fails as it is told to."""

import threading

import pytest

from conpaas.clouds.base import MachineState
from conpaas.clouds.conformance import CloudConformance
from conpaas.clouds.memory import MemoryCloud, MemoryProvider, MemorySettings
from conpaas.errors import CloudError, InvalidError


def cloud_over(provider, deployment="test"):
    return MemoryCloud("memory", provider.settings, deployment, provider)


class TestMemoryCloud(CloudConformance):
    @pytest.fixture
    def make_cloud(self):
        provider = MemoryProvider()
        return lambda deployment: cloud_over(provider, deployment)


@pytest.fixture
def cloud():
    return cloud_over(MemoryProvider(clock=lambda: 1000.0))


def test_a_refused_creation_quotes_the_provider_and_leaves_nothing(cloud):
    cloud.provider.fail_next("create_machine", "Quota exceeded for instances")
    with pytest.raises(CloudError, match="Quota exceeded for instances"):
        cloud.create_machine("one", "", {})
    assert cloud.list_machines() == []
    assert cloud.create_machine("one", "", {}).state is MachineState.RUNNING


def test_a_lost_answer_leaves_a_machine_that_the_next_creation_returns(cloud):
    booted = []
    cloud.provider.on_create = lambda machine, user_data: booted.append((machine.name, user_data))
    cloud.provider.lose_next_answer()
    with pytest.raises(CloudError, match="did not answer in time"):
        cloud.create_machine("one", "data", {})
    assert [machine.name for machine in cloud.list_machines()] == ["one"]
    assert cloud.create_machine("one", "data", {}).id == cloud.list_machines()[0].id
    assert booted == [("one", "data")]


def test_a_stuck_machine_stays_pending_without_an_address_and_does_not_boot(cloud):
    booted = []
    cloud.provider.on_create = lambda machine, user_data: booted.append(machine)
    cloud.provider.get_stuck_next()
    machine = cloud.create_machine("one", "", {})
    assert (machine.state, machine.address) == (MachineState.PENDING, None)
    assert booted == []
    cloud.destroy_machine(machine.id)
    assert cloud.list_machines() == []


def test_a_machine_that_dies_in_boot_has_failed_and_says_why(cloud):
    cloud.provider.die_in_boot_next("No bootable device\n")
    machine = cloud.create_machine("one", "", {})
    assert machine.state is MachineState.FAILED
    assert cloud.console(machine.id) == "No bootable device\n"


def test_a_machine_that_vanishes_is_told_about_and_its_volumes_are_free(cloud):
    gone = []
    cloud.provider.on_destroy = lambda machine: gone.append(machine.name)
    machine = cloud.create_machine("one", "", {})
    volume = cloud.create_volume("data", 10, {})
    cloud.attach_volume(volume.id, machine.id)
    cloud.provider.vanish(machine.id)
    assert gone == ["one"]
    assert cloud.list_machines() == []
    assert cloud.list_volumes() == [volume]


def test_a_machine_that_was_stopped_starts_again_under_its_address(cloud):
    events = []
    cloud.provider.on_stop = lambda machine: events.append(("stop", machine.address))
    cloud.provider.on_start = lambda machine: events.append(("start", machine.address))
    machine = cloud.create_machine("one", "", {})
    cloud.provider.stop(machine.id)
    assert [m.state for m in cloud.list_machines()] == [MachineState.STOPPED]
    cloud.start_machine(machine.id)
    cloud.start_machine(machine.id)
    assert cloud.list_machines() == [machine]
    assert events == [("stop", machine.address), ("start", machine.address)]


def test_any_operation_can_be_made_to_fail_as_often_as_wanted(cloud):
    cloud.provider.fail_next("list_machines", "500 internal", times=2)
    for _ in range(2):
        with pytest.raises(CloudError, match="500 internal"):
            cloud.list_machines()
    assert cloud.list_machines() == []
    with pytest.raises(InvalidError, match="no operation 'lst'"):
        cloud.provider.fail_next("lst", "x")


def test_an_address_may_be_given_again(cloud):
    one = cloud.create_machine("one", "", {})
    cloud.provider.give_address_next(one.address)
    assert cloud.create_machine("two", "", {}).address == one.address


def test_a_full_quota_refuses_machines_until_one_goes():
    cloud = cloud_over(MemoryProvider(MemorySettings(quota=1)))
    one = cloud.create_machine("one", "", {})
    with pytest.raises(CloudError, match="quota exceeded, 1 of 1"):
        cloud.create_machine("two", "", {})
    cloud.destroy_machine(one.id)
    assert cloud.create_machine("two", "", {}).name == "two"


def test_threads_that_create_the_same_name_get_the_same_machine(cloud):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(cloud.create_machine("one", "", {}).id))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 20
    assert len(set(made)) == 1
    assert len(cloud.list_machines()) == 1


def test_a_wrong_default_size_is_a_problem():
    cloud = cloud_over(MemoryProvider(MemorySettings(size="smal")))
    assert cloud.problems() == ["There is no size 'smal'; did you mean 'small'?"]
