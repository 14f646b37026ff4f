"""Whoever drives the local cloud may be killed at any moment: nothing is leaked, nothing is lost.

A child process is killed with SIGKILL before each of the steps that Python's audit hooks see
(every file opened, renamed or removed, every program started), and after various times, which
also hits the programs that it runs.
"""

import os
import signal
import sys
import threading
import time

import pytest

from conpaas.clouds.base import MachineState
from conpaas.errors import CloudError

SLEEP = "#!/bin/sh\nexec sleep 10000\n"
STEPS = {
    "open",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.rmtree",
    "subprocess.Popen",
    "fcntl.flock",
}


def die_before_step(number, action):
    """Run an action in a child that is killed before a step; return whether it got that far."""
    child = os.fork()
    if child == 0:
        steps = iter(range(1, number))
        ours = threading.get_ident()

        def count(event, arguments):
            if event in STEPS and threading.get_ident() == ours and next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, "the action failed by itself"
    return os.WIFSIGNALED(status)


def die_after(seconds, action):
    """Run an action in a child that is killed after some time."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def every_step(action, repair, stride):
    """Kill the action before its steps, one after the other; return how many there are about."""
    step = 1
    while die_before_step(step, action):
        repair()
        step += stride
    repair()
    return step - 1


@pytest.fixture(
    params=[
        pytest.param(1, id="every one", marks=pytest.mark.long),
        pytest.param(4, id="every fourth"),
    ]
)
def stride(request):
    """From one step at which something is killed to the next."""
    return request.param


@pytest.fixture
def warm(cloud):
    """A cloud that has done everything once, so that a child imports nothing."""
    machine = cloud.create_machine("warm", SLEEP, {})
    volume = cloud.create_volume("warm", 4, {})
    cloud.attach_volume(volume.id, machine.id)
    cloud.destroy_machine(machine.id)
    cloud.destroy_volume(volume.id)
    return cloud


def settled(cloud):
    """Return the machines once nobody is making one any more."""
    deadline = time.monotonic() + 10
    while any(m.state is MachineState.PENDING for m in cloud.list_machines()):
        assert time.monotonic() < deadline, "a machine stays pending without a maker"
        time.sleep(0.01)
    return cloud.list_machines()


def created_or_nothing(cloud, traces, idle):
    """Check that a killed creation left a whole machine or nothing, and that it can be redone."""
    machines = settled(cloud)
    assert [m.state for m in machines] in ([], [MachineState.RUNNING])
    if not machines:
        wait_for_traces(traces, idle)
    again = cloud.create_machine("one", SLEEP, {})
    assert again.state is MachineState.RUNNING
    assert [m.id for m in cloud.list_machines()] == [again.id]
    cloud.destroy_machine(again.id)
    wait_for_traces(traces, idle)


def wait_for_traces(traces, wanted):
    deadline = time.monotonic() + 30
    while (found := traces.now()) != wanted:
        assert time.monotonic() < deadline, f"left behind: {found}"
        time.sleep(0.02)


def test_creating_a_machine_survives_death_before_any_step(warm, traces, stride):
    idle = traces.now()

    def create():
        warm.create_machine("one", SLEEP, {})

    steps = every_step(create, lambda: created_or_nothing(warm, traces, idle), stride)
    assert steps > 24


def test_creating_a_machine_survives_death_at_any_time(warm, traces, stride):
    idle = traces.now()
    for milliseconds in range(4, 100, 5 * stride):
        die_after(milliseconds / 1000, lambda: warm.create_machine("one", SLEEP, {}))
        created_or_nothing(warm, traces, idle)


def test_destroying_a_machine_survives_death_before_any_step(warm, traces, stride):
    idle = traces.now()
    volume = warm.create_volume("data", 4, {})

    def begin():
        machine = warm.create_machine("one", SLEEP, {})
        warm.attach_volume(volume.id, machine.id)
        return machine

    machines = [begin()]

    def finish():
        warm.destroy_machine(machines[-1].id)
        assert warm.list_machines() == []
        assert warm.list_volumes() == [volume]
        wait_for_traces(traces, idle)
        machines.append(begin())

    steps = every_step(lambda: warm.destroy_machine(machines[-1].id), finish, stride)
    assert steps > 15


def test_a_machine_whose_destruction_was_begun_is_destroyed_by_whoever_looks(warm, traces, stride):
    idle = traces.now()
    seen = set()
    for step in range(1, 60, stride):
        machine = warm.create_machine("one", SLEEP, {})
        died = die_before_step(step, lambda m=machine: warm.destroy_machine(m.id))
        left = warm.list_machines()
        seen.add(len(left))
        if not left:
            wait_for_traces(traces, idle)
        warm.destroy_machine(machine.id)
        if not died:
            break
    # It was hit both before and after the point of no return.
    assert seen == {0, 1}


def test_attaching_and_detaching_survive_death_before_any_step(warm, inside, stride):
    machine = warm.create_machine("one", SLEEP, {})
    volume = warm.create_volume("data", 4, {})

    def attached():
        path = warm.attach_volume(volume.id, machine.id)
        assert inside(machine, "findmnt", "-no", "TARGET", path) == f"{path}\n"
        warm.detach_volume(volume.id)

    assert every_step(lambda: warm.attach_volume(volume.id, machine.id), attached, stride) > 5
    path = warm.attach_volume(volume.id, machine.id)

    def detached():
        warm.detach_volume(volume.id)
        assert warm.list_volumes() == [volume]
        assert path not in inside(machine, "cat", "/proc/mounts")
        warm.attach_volume(volume.id, machine.id)

    assert every_step(lambda: warm.detach_volume(volume.id), detached, stride) > 5


def test_creating_and_destroying_volumes_survive_death_before_any_step(warm, settings, stride):
    directory = f"{settings.directory}/volumes"

    def create():
        warm.create_volume("data", 4, {})

    def created():
        volume = warm.create_volume("data", 4, {})
        assert warm.list_volumes() == [volume]
        assert os.listdir(directory) == [volume.id]
        warm.destroy_volume(volume.id)

    assert every_step(create, created, stride) > 3
    volumes = [warm.create_volume("data", 4, {})]

    def destroyed():
        warm.destroy_volume(volumes[-1].id)
        assert warm.list_volumes() == []
        assert os.listdir(directory) == []
        volumes.append(warm.create_volume("data", 4, {}))

    assert every_step(lambda: warm.destroy_volume(volumes[-1].id), destroyed, stride) > 3


def test_starting_a_stopped_machine_survives_death_at_any_time(warm, inside, stride):
    machine = warm.create_machine("one", SLEEP, {})
    path = warm.attach_volume(warm.create_volume("data", 4, {}).id, machine.id)
    for milliseconds in range(5, 80, 5 * stride):
        warm.stop_machine(machine.id, grace=0.0)
        die_after(milliseconds / 1000, lambda: warm.start_machine(machine.id))
        warm.start_machine(machine.id)
        assert warm.list_machines() == [machine]
        assert inside(machine, "findmnt", "-no", "TARGET", path) == f"{path}\n"


def test_bringing_the_network_up_and_down_survives_death_before_any_step(warm, traces, stride):
    warm.halt(grace=0.0)

    def is_up():
        warm.up()
        assert traces.now().keys() == {"links", "processes", "tables", "files"}
        warm.halt(grace=0.0)
        wait_for_traces(traces, {"files": traces.files()})

    assert every_step(warm.up, is_up, stride) > 10


def test_two_processes_create_twenty_machines_with_addresses_of_their_own(warm):
    children = []
    for process in range(2):
        child = os.fork()
        if child == 0:
            threads = [
                threading.Thread(
                    target=warm.create_machine, args=(f"{process}-{number}", SLEEP, {})
                )
                for number in range(10)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    machines = warm.list_machines()
    assert len(machines) == len({machine.address for machine in machines}) == 20
    assert {machine.state for machine in machines} == {MachineState.RUNNING}


def test_two_processes_that_create_the_same_machine_get_the_same(warm):
    for _ in range(5):
        child = os.fork()
        if child == 0:
            warm.create_machine("one", SLEEP, {})
            os._exit(0)
        ours = warm.create_machine("one", SLEEP, {})
        assert os.waitpid(child, 0)[1] == 0
        assert [machine.id for machine in warm.list_machines()] == [ours.id]
        warm.destroy_machine(ours.id)


def test_what_is_being_changed_is_waited_for_no_longer_than_a_while(warm):
    store = warm.driver.store
    with store.lock("machines"):
        with pytest.raises(CloudError, match="being changed"):
            store.lock("machines", timeout=0.05).__enter__()
        with store.lock_if_free("machines") as free:
            assert not free
    with store.lock_if_free("machines") as free:
        assert free
