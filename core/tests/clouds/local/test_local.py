"""Machines on this machine: the contract, and what is theirs beyond it."""

import dataclasses
import os
import signal
import subprocess
import time

import pytest

from conpaas.clouds.base import MachineState
from conpaas.clouds.conformance import CloudConformance
from conpaas.clouds.local import LocalCloud
from conpaas.errors import CloudError, WrongStateError
from conpaas.testing.waiting import eventually

SLEEP = "#!/bin/sh\nexec sleep 10000\n"


class TestLocalCloud(CloudConformance):
    @pytest.fixture
    def cloud(self, make_cloud):
        return make_cloud("test")


def test_a_machine_finds_its_names_its_resolver_and_its_user_data(cloud, inside):
    machine = cloud.create_machine("My first_Machine", "#!/bin/sh\nsleep 10000 # täg\n", {})
    seed = "/var/lib/cloud/seed/nocloud"
    assert inside(machine, "hostname") == "my-first-machine\n"
    assert inside(machine, "cat", "/etc/hostname") == "my-first-machine\n"
    assert inside(machine, "getent", "hosts", "my-first-machine").split()[0] == machine.address
    assert inside(machine, "cat", f"{seed}/user-data") == "#!/bin/sh\nsleep 10000 # täg\n"
    assert inside(machine, "cat", f"{seed}/meta-data") == (
        f"instance-id: {machine.id}\nlocal-hostname: my-first-machine\n"
    )
    assert inside(machine, "stat", "-c", "%a", f"{seed}/user-data") == "600\n"
    assert f"nameserver {cloud.gateway}" in inside(machine, "cat", "/etc/resolv.conf")


def test_the_resolver_answers_at_once_that_it_does_not_know(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {})
    started = time.monotonic()
    script = "getent hosts no-such-machine || getent hosts 10.255.255.1 || echo unknown"
    assert inside(machine, "sh", "-c", script) == "unknown\n"
    assert time.monotonic() - started < 1.5


def test_machines_reach_each_other_and_their_host(cloud, inside):
    serve = "#!/bin/sh\ncd /etc && exec python3 -m http.server 80\n"
    one, two = cloud.create_machine("one", serve, {}), cloud.create_machine("two", SLEEP, {})
    fetch = f"curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://{one.address}"
    assert inside(two, *fetch.split(), "--max-time", "10").startswith("<!DOCTYPE")
    with subprocess.Popen(["curl", "-sSo", "/dev/null", f"http://{one.address}/hostname"]) as curl:
        assert curl.wait(5) == 0
    route = inside(two, "ip", "-4", "route", "show", "default")
    assert f"via {cloud.gateway} " in route


def test_the_console_has_what_the_machine_printed(cloud):
    machine = cloud.create_machine("one", "#!/bin/sh\necho hello; sleep 10000\n", {})
    eventually(lambda: "hello\n" in cloud.console(machine.id))


def test_a_machine_whose_first_program_ends_is_listed_as_stopped(cloud):
    machine = cloud.create_machine("one", "#!/bin/sh\nexit 1\n", {})
    eventually(lambda: cloud.list_machines()[0].state is MachineState.STOPPED)
    assert cloud.find_machine("one").id == machine.id


def test_a_stopped_machine_boots_with_its_disk_its_address_and_its_volumes(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {})
    mounted, later = cloud.create_volume("mounted", 16, {}), cloud.create_volume("later", 16, {})
    path = cloud.attach_volume(mounted.id, machine.id)
    inside(machine, "sh", "-c", f"echo kept > /srv/note; echo data > {path}/note; sync")
    cloud.stop_machine(machine.id, grace=0.1)
    assert cloud.list_machines()[0].state is MachineState.STOPPED
    other_path = cloud.attach_volume(later.id, machine.id)
    cloud.start_machine(machine.id)
    assert cloud.list_machines() == [machine]
    assert inside(machine, "cat", "/srv/note", f"{path}/note") == "kept\ndata\n"
    assert inside(machine, "findmnt", "-no", "FSTYPE", other_path) == "ext4\n"


def test_volumes_are_mounted_before_anything_runs_in_a_machine_that_boots(cloud):
    look = "#!/bin/sh\ncat /media/*/note; echo looked; exec sleep 10000\n"
    machine = cloud.create_machine("one", look, {})
    volume = cloud.create_volume("data", 16, {})
    cloud.stop_machine(machine.id, grace=0.1)
    cloud.attach_volume(volume.id, machine.id)
    for _ in range(3):
        cloud.start_machine(machine.id)
        cloud.stop_machine(machine.id, grace=0.1)
    cloud.start_machine(machine.id)
    eventually(lambda: cloud.console(machine.id).count("looked") >= 2)
    found = cloud.list_volumes()[0]
    assert (found.machine, found.device) == (machine.id, f"/media/{volume.id}")


def test_a_volume_keeps_its_data_when_it_moves(cloud, inside):
    one, two = cloud.create_machine("one", SLEEP, {}), cloud.create_machine("two", SLEEP, {})
    volume = cloud.create_volume("data", 32, {})
    path = cloud.attach_volume(volume.id, one.id)
    inside(one, "sh", "-c", f"echo precious > {path}/note")
    cloud.detach_volume(volume.id)
    assert inside(one, "ls", path) == ""
    assert inside(two, "cat", f"{cloud.attach_volume(volume.id, two.id)}/note") == "precious\n"
    cloud.destroy_machine(two.id)
    assert inside(one, "cat", f"{cloud.attach_volume(volume.id, one.id)}/note") == "precious\n"


def test_a_volume_in_use_is_not_detached(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {})
    volume = cloud.create_volume("data", 16, {})
    path = cloud.attach_volume(volume.id, machine.id)
    script = f"cd {path} && {{ sleep 10000 > /dev/null 2>&1 & echo $!; }}"
    user = inside(machine, "sh", "-c", script).strip()
    with pytest.raises(CloudError, match="busy; stop what uses it"):
        cloud.detach_volume(volume.id)
    assert cloud.list_volumes()[0].machine == machine.id
    inside(machine, "sh", "-c", f"kill {user}; while test -e /proc/{user}/cwd; do :; done")
    cloud.detach_volume(volume.id)
    assert cloud.list_volumes()[0].machine is None


def test_a_full_volume_is_as_full_as_was_asked_for(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {})
    path = cloud.attach_volume(cloud.create_volume("data", 64, {}).id, machine.id)
    script = f"head -c 100M /dev/zero > {path}/zeros 2>/dev/null; stat -c %s {path}/zeros"
    assert 40 << 20 < int(inside(machine, "sh", "-c", script)) < 64 << 20


def test_limits_are_applied(cloud, inside):
    script = """#!/bin/sh
python3 -c 'print("little", len(b"x" * (150 << 20)))'
python3 -c 'print("much", len(b"x" * (700 << 20)))'
echo "python ended with $?"
sleep 10000
"""
    machine = cloud.create_machine("one", script, {}, size="small")
    eventually(lambda: "python ended with" in cloud.console(machine.id))
    console = cloud.console(machine.id)
    assert f"little {150 << 20}" in console
    assert "much" not in console
    assert "python ended with 137" in console
    limits = {
        limit(machine, "memory", "memory.limit_in_bytes", "memory.max"),
        limit(machine, "cpu", "cpu.cfs_quota_us", "cpu.max"),
        limit(machine, "pids", "pids.max", "pids.max"),
    }
    assert limits == {str(512 << 20), "100000", "4096"}


def test_a_machine_is_shown_its_own_limits_and_cannot_change_them(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {}, size="small")
    found = "/run/cgroup/*/memory.limit_in_bytes /run/cgroup/*/memory.max"
    script = f"cat {found} 2>/dev/null; for f in {found}; do echo 1 2>/dev/null > $f; done; true"
    assert inside(machine, "sh", "-c", script).split() == [str(512 << 20)]
    assert inside(machine, "sh", "-c", script).split() == [str(512 << 20)]


def limit(machine, controller, old, new):
    cgroup = f"lxc.payload.{machine.id}"
    for path in (f"/sys/fs/cgroup/{controller}/{cgroup}/{old}", f"/sys/fs/cgroup/{cgroup}/{new}"):
        if os.path.exists(path):
            with open(path) as file:
                return file.read().split()[0]
    raise AssertionError(f"nothing limits {controller}")


def test_destroying_everything_leaves_nothing(cloud, traces):
    machines = [cloud.create_machine(f"m{number}", SLEEP, {}) for number in range(3)]
    volume = cloud.create_volume("data", 16, {})
    cloud.attach_volume(volume.id, machines[0].id)
    found = traces.now()
    # Each kind of trace is there before, or the look would prove nothing afterwards.
    assert found.keys() == traces.kinds.keys() - {"mounts"}
    for machine in machines:
        cloud.destroy_machine(machine.id)
    eventually(lambda: traces.now().keys() == {"links", "processes", "tables", "files"})
    left = traces.now()
    assert left["links"] == [cloud.settings.bridge]
    assert len(left["processes"]) == 1, "only the resolver"
    cloud.down()
    assert traces.all() == {}
    cloud.down()


def test_a_machine_keeps_nothing_of_its_maker_and_outlives_it(cloud, make_cloud):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    maker = os.fork()
    if maker == 0:
        os.setsid()
        make_cloud("test").create_machine("one", SLEEP, {})
        os.write(write, b"made")
        signal.pause()
    os.close(write)
    assert os.read(read, 4) == b"made"
    os.killpg(maker, signal.SIGKILL)
    os.waitpid(maker, 0)
    # The end of the file comes when no process has the other end any more.
    assert os.read(read, 1) == b""
    os.close(read)
    assert cloud.list_machines()[0].state is MachineState.RUNNING


def test_a_machine_that_is_killed_from_outside_is_stopped_and_starts_again(cloud, settings):
    machine = cloud.create_machine("one", SLEEP, {})
    lxc = ["-P", f"{settings.directory}/machines", "-n", machine.id]
    init = int(subprocess.check_output(["lxc-info", *lxc, "-pH"]))
    with open(f"/proc/{init}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    wait_until_gone(init)
    assert cloud.list_machines()[0].state is MachineState.STOPPED
    cloud.start_machine(machine.id)
    assert cloud.list_machines() == [machine]


def wait_until_gone(pid):
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}"):
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_is_back_after_the_host_restarted(cloud, make_cloud, inside, traces):
    machines = [cloud.create_machine(name, SLEEP, {}) for name in ("one", "two")]
    volume = cloud.create_volume("data", 16, {})
    path = cloud.attach_volume(volume.id, machines[0].id)
    inside(machines[0], "sh", "-c", f"echo precious > {path}/note")
    cloud.halt(grace=0.1)
    eventually(lambda: traces.now().keys() == {"files"})
    again = make_cloud("test")
    assert [m.state for m in again.list_machines()] == [MachineState.STOPPED] * 2
    for machine in machines:
        again.start_machine(machine.id)
    assert again.list_machines() == machines
    assert inside(machines[0], "cat", f"{path}/note") == "precious\n"


def test_a_machine_that_does_not_start_says_why_and_leaves_nothing(settings, make_cloud, traces):
    make_cloud("test").up()
    before = traces.now()
    broken = LocalCloud("local", dataclasses.replace(settings, init="/no/such/program"), "test")
    with pytest.raises(CloudError, match=r"machine one does not start: Failed to exec"):
        broken.create_machine("one", "", {})
    assert broken.list_machines() == []
    eventually(lambda: traces.now() == before)


def test_an_image_that_is_missing_is_told_about(settings, make_cloud):
    absent = dataclasses.replace(settings, image="conpaas-absent")
    cloud = LocalCloud("local", absent, "test")
    with pytest.raises(CloudError, match="no image 'conpaas-absent'"):
        cloud.create_machine("one", "", {})
    assert "There is no image 'conpaas-absent'" in " ".join(cloud.problems())


def test_the_network_is_repaired_when_a_machine_is_created(cloud, settings, inside):
    serve = "#!/bin/sh\ncd /etc && exec python3 -m http.server 80\n"
    one = cloud.create_machine("one", serve, {})
    subprocess.run(["ip", "link", "delete", settings.bridge], check=True)
    assert any("1 machines reach nobody" in problem for problem in cloud.problems())
    two = cloud.create_machine("two", SLEEP, {})
    assert cloud.problems() == []
    fetch = (
        f"curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://{one.address}/hostname"
    )
    assert inside(two, *fetch.split(), "--max-time", "10") == "one\n"


def test_two_clouds_live_side_by_side(cloud, settings):
    beside = dataclasses.replace(
        settings,
        directory=settings.directory + "b",
        bridge=settings.bridge + "b",
        prefix="b" + settings.prefix[1:],
    )
    other = LocalCloud("local", beside, "test")
    try:
        ours, theirs = (each.create_machine("one", SLEEP, {}) for each in (cloud, other))
        assert cloud.subnet != other.subnet
        assert ours.address != theirs.address
    finally:
        other.down()
    assert [machine.state for machine in cloud.list_machines()] == [MachineState.RUNNING]
    cloud.create_machine("two", SLEEP, {})


def test_a_volume_grows_with_its_file_system_while_it_is_used(cloud, inside):
    machine = cloud.create_machine("one", SLEEP, {})
    volume = cloud.create_volume("data", 16, {})
    path = cloud.attach_volume(volume.id, machine.id)
    fill = f"head -c 60M /dev/zero > {path}/zeros 2>/dev/null; stat -c %s {path}/zeros"
    assert int(inside(machine, "sh", "-c", fill)) < 16 << 20
    inside(machine, "sh", "-c", f"rm {path}/zeros; echo precious > {path}/note")
    try:
        cloud.grow_volume(volume.id, 96)
    except WrongStateError:  # this machine cannot do it while it is mounted
        cloud.detach_volume(volume.id)
        cloud.grow_volume(volume.id, 96)
        cloud.attach_volume(volume.id, machine.id)
    assert cloud.list_volumes()[0].size == 96
    assert int(inside(machine, "sh", "-c", fill)) == 60 << 20
    assert inside(machine, "cat", f"{path}/note") == "precious\n"
    cloud.stop_machine(machine.id, grace=0.1)
    assert cloud.grow_volume(volume.id, 200).size == 200
    cloud.start_machine(machine.id)
    assert inside(machine, "cat", f"{path}/note") == "precious\n"
    size = inside(machine, "sh", "-c", f"df -m --output=size {path} | tail -1")
    assert int(size) > 170
