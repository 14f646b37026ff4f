"""What a machine uses: a container's own part by its control group, whichever kind it is."""

import os
import shutil

import psutil
import pytest
from prometheus_client.core import CounterMetricFamily

from conpaas.features.monitoring.machine import Disk, Meter, Use

MOUNTED, SHOWN = "sys/fs/cgroup", "run/cgroup"


class Container:
    """The files of a container, as its processes see them."""

    def __init__(self, root, cgroup_of_first):
        self.root = root
        self.write("proc/1/cgroup", cgroup_of_first)
        # A file has a number, too: not that of the first namespace.
        self.write("proc/self/ns/pid", "")
        self.meter = Meter(root)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def use(self):
        return self.meter.use()


def v2(container, path=f"{MOUNTED}/"):
    container.write(f"{path}/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\n")
    container.write(f"{path}/cpu.max", "150000 100000\n")
    container.write(f"{path}/memory.current", "50000000\n")
    container.write(f"{path}/memory.stat", "anon 10\ninactive_file 20000000\n")
    container.write(f"{path}/memory.max", "256000000\n")


def v1(container, group="", place=MOUNTED):
    container.write(f"{place}/cpuacct/{group}/cpuacct.usage", "2500000000\n")
    container.write(f"{place}/cpu/{group}/cpu.cfs_quota_us", "150000\n")
    container.write(f"{place}/cpu/{group}/cpu.cfs_period_us", "100000\n")
    container.write(f"{place}/memory/{group}/memory.usage_in_bytes", "50000000\n")
    container.write(f"{place}/memory/{group}/memory.stat", "total_inactive_file 20000000\n")
    container.write(f"{place}/memory/{group}/memory.limit_in_bytes", "256000000\n")


#: What the files above mean.
OWN = Use(cpu=2.5, cpus=1.5, memory=30_000_000, limit=256_000_000)
V1 = "8:cpu:/{0}\n7:cpuacct:/{0}\n4:memory:/{0}\n0::/\n"


@pytest.mark.parametrize(
    ("first", "group"),
    [("0::/", ""), ("0::/init.scope", ""), ("0::/lxc.payload.x/init.scope", "lxc.payload.x")],
)
def test_a_container_of_cgroup_v2(tmp_path, first, group):
    container = Container(tmp_path, f"{first}\n")
    v2(container, f"{MOUNTED}/{group}")
    assert container.use == OWN


@pytest.mark.parametrize("group", ["", "lxc.payload.x"])
def test_a_container_of_cgroup_v1(tmp_path, group):
    container = Container(tmp_path, V1.format(group))
    v1(container, group)
    assert container.use == OWN


def test_a_machine_of_the_local_cloud_is_shown_its_control_group(tmp_path):
    container = Container(tmp_path, V1.format(""))
    v1(container, place=SHOWN)
    assert container.use == OWN


def test_a_machine_of_the_local_cloud_on_a_host_with_cgroup_v2(tmp_path):
    container = Container(tmp_path, "0::/\n")
    v2(container, f"{SHOWN}/unified")
    assert container.use == OWN


def test_a_container_without_limits_has_those_of_its_machine(tmp_path):
    container = Container(tmp_path, "0::/\n")
    v2(container)
    container.write(f"{MOUNTED}/cpu.max", "max 100000\n")
    container.write(f"{MOUNTED}/memory.max", "max\n")
    assert container.use.cpus == len(os.sched_getaffinity(0))
    assert container.use.limit == psutil.virtual_memory().total


def test_a_container_without_control_groups_adds_up_its_processes(tmp_path):
    container = Container(tmp_path, V1.format(""))
    own = psutil.Process()
    used = own.cpu_times()
    use = container.use
    assert use.cpu >= used.user + used.system
    assert use.memory >= own.memory_info().rss - own.memory_info().shared
    assert use.limit is None, "it is not known"


def test_processes_that_end_take_nothing_away(tmp_path, monkeypatch):
    container = Container(tmp_path, V1.format(""))
    before = container.use.cpu
    monkeypatch.setattr(psutil, "process_iter", lambda: iter([]))
    assert container.use.cpu == before


def test_a_machine_of_its_own_is_measured_as_a_whole():
    if os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC:
        pytest.skip("these tests run in a container themselves")
    families = {family.name: family for family in Meter().collect()}
    assert families["conpaas_node_memory_limit_bytes"].samples[0].value == (
        psutil.virtual_memory().total
    )
    cpu = families["conpaas_node_cpu_seconds"]
    assert isinstance(cpu, CounterMetricFamily)
    assert cpu.samples[0].value > psutil.Process().cpu_times().user


NET = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo: 5000 7 0 0 0 0 0 0 5000 7 0 0 0 0 0 0
  eth0: 1000 7 0 0 0 0 0 0 30 7 0 0 0 0 0 0
  eth1:234567890123 7 0 0 0 0 0 0 4 7 0 0 0 0 0 0
"""
MOUNTS = """\
20 1 0:50 / / rw - overlay overlay rw
21 20 8:1 /x /media/data rw - ext4 /dev/sdb rw
22 20 8:1 /y /media/data rw - ext4 /dev/sdb rw
23 20 8:1 /y /media/gone rw - ext4 /dev/sdc rw
24 20 8:1 /y /var/media/other rw - ext4 /dev/sdc rw
"""


def figures(meter):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in meter.collect()
        for sample in family.samples
    }


def test_traffic_is_that_of_all_networks_but_not_with_itself(tmp_path):
    container = Container(tmp_path, "0::/\n")
    v2(container)
    container.write("proc/self/net/dev", NET)
    found = figures(container.meter)
    assert found["conpaas_node_network_bytes_total", "in"] == 234567891123
    assert found["conpaas_node_network_bytes_total", "out"] == 34


def test_disks_are_the_machines_own_and_its_volumes(tmp_path):
    container = Container(tmp_path, "0::/\n")
    v2(container)
    (tmp_path / "media/data").mkdir(parents=True)
    container.write("proc/self/mountinfo", MOUNTS)
    assert [disk.mount for disk in container.meter.disks()] == ["/", "/media/data"]
    disk = shutil.disk_usage(tmp_path)
    assert container.meter.disks()[0] == Disk("/", disk.used, disk.used + disk.free)
    assert figures(container.meter)["conpaas_node_disk_limit_bytes", "/media/data"] > 0


def test_what_is_not_known_of_a_machine_is_left_out(tmp_path):
    container = Container(tmp_path, "0::/\n")
    v2(container)
    names = {name for name, *_ in figures(container.meter)}
    assert "conpaas_node_cpu_seconds_total" in names
    assert not any("network" in name for name in names)


def test_the_traffic_of_this_machine_rises():
    before = Meter().traffic()
    assert before is not None and Meter().traffic() >= before
