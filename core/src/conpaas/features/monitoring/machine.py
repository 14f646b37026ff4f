"""What this machine uses: of a container its own part, not what /proc says of its host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

#: The number that Linux gives the first namespace of process numbers: the machine's own.
_FIRST_NAMESPACE = 0xEFFFFFFC
VOLUMES = "/media/"  #: where volumes are mounted
_KINDS = ("cpu", "cpuacct", "memory")  #: of cgroup v1
_UNLIMITED = 1 << 60  #: cgroup v1 says some number above this when there is no limit


@dataclass(frozen=True)
class Use:
    """What a machine uses.

    Args:
        cpu: Seconds of processor time, of all processors, ever since.
        cpus: How many processors it may use.
        memory: Bytes in use; files that are merely cached do not count.
        limit: Bytes that it may use; None when that is not known.
    """

    cpu: float
    cpus: float
    memory: int
    limit: int | None


@dataclass(frozen=True)
class Disk:
    """A file system: bytes that are used, and those that may be, where it is mounted."""

    mount: str
    used: int
    limit: int


class Meter:
    """Measures this machine.

    Args:
        root: Where its files are: /proc, /sys, and /run, where our local cloud shows a machine its
            control group.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._proc = root / "proc"
        self._mounted = root / "sys/fs/cgroup"
        self._shown = root / "run/cgroup"
        self._most = 0.0

    def collect(self) -> Iterator[Metric]:
        """Return what the machine uses, as metric families."""
        yield from _families(self.use())
        if (traffic := self.traffic()) is not None:
            network = CounterMetricFamily(
                "conpaas_node_network_bytes",
                "Bytes that came in and went out, by all networks.",
                labels=["direction"],
            )
            for direction, count in zip(("in", "out"), traffic, strict=True):
                network.add_metric([direction], count)
            yield network
        used = GaugeMetricFamily(
            "conpaas_node_disk_bytes", "Bytes used of a file system.", labels=["mount"]
        )
        limit = GaugeMetricFamily(
            "conpaas_node_disk_limit_bytes",
            "Bytes that may be used of a file system.",
            labels=["mount"],
        )
        for disk in self.disks():
            used.add_metric([disk.mount], disk.used)
            limit.add_metric([disk.mount], disk.limit)
        yield from (used, limit)

    def traffic(self) -> tuple[int, int] | None:
        """Return the bytes that came in and went out since the machine began; None: not known."""
        told = _text(self._proc / "self/net/dev")
        if told is None:
            return None
        came = went = 0
        for line in told.splitlines()[2:]:
            name, _, counts = line.partition(":")
            if name.strip() != "lo":
                fields = counts.split()
                came, went = came + int(fields[0]), went + int(fields[8])
        return came, went

    def disks(self) -> list[Disk]:
        """Return the file systems that fill up: the machine's own, and its volumes."""
        mounts = ["/"]
        for line in (_text(self._proc / "self/mountinfo") or "").splitlines():
            mount = line.split(" ")[4]
            if mount.startswith(VOLUMES) and mount not in mounts:
                mounts.append(mount)
        found = []
        for mount in mounts:
            try:
                disk = shutil.disk_usage(self._root / mount.lstrip("/"))
            except OSError:
                continue  # it has just been unmounted, or is broken: the others are told
            found.append(Disk(mount, disk.used, disk.used + disk.free))
        return found

    def use(self) -> Use:
        """Return what the machine uses, by the best source that there is."""
        if os.stat(self._proc / "self/ns/pid").st_ino == _FIRST_NAMESPACE:
            return _machine()
        paths = _cgroup_paths(self._proc)
        for unified in (self._mounted / paths.get("", ""), self._shown / "unified"):
            if (unified / "memory.current").exists() and (unified / "cpu.stat").exists():
                return _cgroup_v2(unified)
        for places in (
            {kind: self._mounted / kind / paths.get(kind, "") for kind in _KINDS},
            {kind: self._shown / kind for kind in _KINDS},
        ):
            if (places["cpuacct"] / "cpuacct.usage").exists() and (
                places["memory"] / "memory.usage_in_bytes"
            ).exists():
                return _cgroup_v1(places)
        found = _processes()
        # A process that ends meanwhile is missed once: that must not look like a new beginning.
        self._most = max(self._most, found.cpu)
        return replace(found, cpu=self._most)


def _families(use: Use) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "conpaas_node_cpu_seconds", "Processor time that the node has used.", value=use.cpu
    )
    yield GaugeMetricFamily(
        "conpaas_node_cpus", "Processors that the node may use.", value=use.cpus
    )
    yield GaugeMetricFamily(
        "conpaas_node_memory_bytes", "Memory in use, without cached files.", value=use.memory
    )
    if use.limit is not None:
        yield GaugeMetricFamily(
            "conpaas_node_memory_limit_bytes", "Memory that the node may use.", value=use.limit
        )


def _machine() -> Use:
    times, memory = psutil.cpu_times(), psutil.virtual_memory()
    # Time for guests is in "user" already.
    cpu = times.user + times.nice + times.system + times.irq + times.softirq
    return Use(cpu, _processors(), memory.total - memory.available, memory.total)


def _cgroup_v2(group: Path) -> Use:
    quota, _, period = (_text(group / "cpu.max") or "max 100000").partition(" ")
    limit = _text(group / "memory.max") or "max"
    cached = _fields(group / "memory.stat").get("inactive_file", 0)
    return Use(
        cpu=_fields(group / "cpu.stat")["usage_usec"] / 1e6,
        cpus=_processors() if quota == "max" else int(quota) / int(period),
        memory=max(0, int((group / "memory.current").read_text()) - cached),
        limit=psutil.virtual_memory().total if limit == "max" else int(limit),
    )


def _cgroup_v1(places: Mapping[str, Path]) -> Use:
    cpu, memory = places["cpu"], places["memory"]
    quota = int(_text(cpu / "cpu.cfs_quota_us") or -1)
    period = int(_text(cpu / "cpu.cfs_period_us") or 100_000)
    limit = int(_text(memory / "memory.limit_in_bytes") or _UNLIMITED)
    cached = _fields(memory / "memory.stat").get("total_inactive_file", 0)
    return Use(
        cpu=int((places["cpuacct"] / "cpuacct.usage").read_text()) / 1e9,
        cpus=_processors() if quota <= 0 else quota / period,
        memory=max(0, int((memory / "memory.usage_in_bytes").read_text()) - cached),
        limit=psutil.virtual_memory().total if limit >= _UNLIMITED else limit,
    )


def _processes() -> Use:
    """Add up the processes that a container without control groups can see: its own."""
    cpu, memory = 0.0, 0
    for process in psutil.process_iter():
        try:
            times, used = process.cpu_times(), process.memory_info()
        except psutil.Error:
            continue  # it has just ended: who waited for it has its time now
        cpu += times.user + times.system + times.children_user + times.children_system
        memory += used.rss - used.shared
    return Use(cpu, _processors(), memory, None)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _cgroup_paths(proc: Path) -> dict[str, str]:
    """Return where the first process of the container is, by kind of control group."""
    found: dict[str, str] = {}
    for line in (proc / "1/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        # systemd puts itself one below the container's.
        place = path.strip("/").removesuffix("init.scope").strip("/")
        found.update(dict.fromkeys(kinds.split(","), place))
    return found


def _fields(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in (_text(file) or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None
