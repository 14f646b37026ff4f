"""The processes of a local machine: an LXC instance over a base image."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas.clouds.local.commands import run
from conpaas.clouds.local.network import Network, hardware_address
from conpaas.clouds.local.store import MachineRecord, Store, write
from conpaas.errors import CloudError

_CGROUPS = Path("/sys/fs/cgroup")
_MAX_PROCESSES = 4096
_START_TIMEOUT = 60.0
_PERIOD = 100_000


@dataclass(frozen=True)
class Process:
    """A process for sure: its number, and when it started (a number may be given again)."""

    pid: int
    started: str

    @property
    def lives(self) -> bool:
        """Tell whether it is this very process and not a zombie."""
        return _started(self.pid) == self.started

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return a running process by its number."""
        started = _started(pid)
        return None if started is None else cls(pid, started)


class Instances:
    """Starts and ends instances; its callers hold the machine's lock."""

    def __init__(self, store: Store, network: Network, images: Path, init: str) -> None:
        self._store = store
        self._network = network
        self._images = images
        self._init = init

    def prepare(self, record: MachineRecord, user_data: str) -> None:
        """Write what the machine finds on its disk at its first boot."""
        upper = self._directory(record) / "delta0"
        host, seed = hostname(record.name), upper / "var/lib/cloud/seed/nocloud"
        for directory, mode in (("etc", 0o755), ("var/lib/cloud/seed/nocloud", 0o700)):
            (upper / directory).mkdir(mode=0o755, parents=True, exist_ok=True)
            (upper / directory).chmod(mode)
        _write(upper / "etc/hostname", f"{host}\n")
        _write(upper / "etc/hosts", f"127.0.0.1 localhost\n{record.address} {host} {record.id}\n")
        _write(
            upper / "etc/resolv.conf",
            f"nameserver {self._network.gateway}\noptions timeout:2 attempts:2\n",
        )
        _write(seed / "user-data", user_data, 0o600)
        _write(seed / "meta-data", f"instance-id: {record.id}\nlocal-hostname: {host}\n", 0o600)

    def start(self, record: MachineRecord, mounts: Mapping[str, str], lock: int) -> None:
        """Boot the machine and wait until its first process runs.

        Args:
            record: Which.
            mounts: What is mounted before anything runs in it: block devices by path.
            lock: The machine's lock.  The starter inherits it, so that nobody meddles with an
                instance that is being started by a process that was killed.

        Raises:
            CloudError: It does not start; lxc's own words are in the message.
        """
        directory = self._directory(record)
        write(directory / "config", self._config(record, mounts))
        if Path(f"/sys/class/net/{record.id}").exists():
            run("ip", "link", "delete", record.id)
        log = directory / "lxc.log"
        log.unlink(missing_ok=True)
        # Its own session: a caller's Ctrl-C or kill of its process group is not for instances.
        starter = subprocess.Popen(
            [
                *("lxc-start", "-P", str(self._store.machines_directory), "-n", record.id),
                *("-o", str(log), "-l", "WARN"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,
            umask=0o022,
            cwd="/",
        )
        try:
            code: int | None = starter.wait(timeout=_START_TIMEOUT)
        except subprocess.TimeoutExpired:
            starter.kill()
            starter.wait()
            code = None
        if code != 0:
            self.kill(record.id)
            waited = "" if code is not None else f"not started after {_START_TIMEOUT:.0f} s: "
            raise CloudError(f"the machine {record.name} does not start: {waited}{_errors(log)}")
        self._remember(record.id)

    def init(self, machine_id: str) -> Process | None:
        """Return the first process of a running machine, None when it does not run."""
        with contextlib.suppress(OSError, ValueError):
            pid, _, started = self._init_file(machine_id).read_text().partition(" ")
            process = Process(int(pid), started)
            if process.lives:
                return process
        return self._remember(machine_id)

    def stop(self, machine_id: str, grace: float) -> None:
        """Ask a machine to end, and after ``grace`` seconds make it."""
        init = self.init(machine_id)
        if init is None:
            return
        _signal([init], signal.SIGTERM, grace)
        self.kill(machine_id)

    def kill(self, machine_id: str) -> None:
        """End all processes of a machine, lxc's monitor of it too.

        Raises:
            CloudError: They do not end.
        """
        first = self.init(machine_id)
        monitors = _members(f"lxc.monitor.{machine_id}")
        _signal([first] if first else [], signal.SIGKILL, 5.0)
        # The monitor ends by itself after its instance; one that has none any more does not.
        _wait(monitors, 2.0)
        deadline = time.monotonic() + 10.0
        while left := self._processes(machine_id):
            if time.monotonic() > deadline:
                raise CloudError(f"processes {[p.pid for p in left]} of {machine_id} do not end")
            _signal(left, signal.SIGKILL, 1.0)
        self._init_file(machine_id).unlink(missing_ok=True)
        _remove_cgroups(machine_id)

    def remove(self, machine_id: str) -> None:
        """Take away what the kernel may still keep of an instance that has ended."""
        if Path(f"/sys/class/net/{machine_id}").exists():
            # It goes with its name space, which may happen between the two lines.
            with contextlib.suppress(CloudError):
                run("ip", "link", "delete", machine_id)

    def console(self, machine_id: str, length: int = 16384) -> str:
        """Return the end of what the machine wrote to its console."""
        path = self._store.machine_directory(machine_id) / "console.log"
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - length))
                return file.read(length).decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            return ""

    def _directory(self, record: MachineRecord) -> Path:
        return self._store.machine_directory(record.id)

    def _init_file(self, machine_id: str) -> Path:
        return self._store.machine_directory(machine_id) / "init"

    def _remember(self, machine_id: str) -> Process | None:
        lxc = ("-P", str(self._store.machines_directory), "-n", machine_id)
        try:
            answer = run("lxc-info", *lxc, "-pH", timeout=10.0).strip()
        except CloudError:
            return None
        process = Process.of(int(answer)) if answer.isdigit() else None
        with contextlib.suppress(FileNotFoundError):
            if process is not None:
                _write(self._init_file(machine_id), f"{process.pid} {process.started}")
        return process

    def _processes(self, machine_id: str) -> list[Process]:
        return _members(f"lxc.payload.{machine_id}") + _members(f"lxc.monitor.{machine_id}")

    def _config(self, record: MachineRecord, mounts: Mapping[str, str]) -> str:
        directory, subnet = self._directory(record), self._network.subnet
        memory = record.memory << 20
        volumes = "".join(
            f"lxc.mount.entry = {device} {path.lstrip('/')} ext4 noatime,create=dir 0 0\n"
            for path, device in sorted(mounts.items())
        )
        return f"""\
lxc.include = /usr/share/lxc/config/common.conf
lxc.uts.name = {hostname(record.name)}
lxc.rootfs.path = overlay:{self._images / record.image}:{directory}/delta0
lxc.init.cmd = {self._init}
lxc.environment = PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lxc.apparmor.profile = unconfined
# A machine that reboots itself would find its volumes under other device numbers.
lxc.cap.drop = sys_boot
lxc.mount.entry = /dev/fuse dev/fuse none bind,optional,create=file 0 0
{volumes}lxc.net.0.type = veth
lxc.net.0.link = {self._network.bridge}
lxc.net.0.veth.pair = {record.id}
lxc.net.0.name = eth0
lxc.net.0.flags = up
lxc.net.0.hwaddr = {hardware_address(ipaddress.IPv4Address(record.address))}
lxc.net.0.ipv4.address = {record.address}/{subnet.prefixlen} {subnet.broadcast_address}
lxc.net.0.ipv4.gateway = {self._network.gateway}
lxc.console.logfile = {directory}/console.log
lxc.console.size = 4MB
lxc.console.rotate = 1
lxc.cgroup.memory.limit_in_bytes = {memory}
lxc.cgroup.cpu.cfs_quota_us = {record.cpus * _PERIOD}
lxc.cgroup.pids.max = {_MAX_PROCESSES}
lxc.cgroup2.memory.max = {memory}
lxc.cgroup2.cpu.max = {record.cpus * _PERIOD} {_PERIOD}
lxc.cgroup2.pids.max = {_MAX_PROCESSES}
"""


def hostname(name: str) -> str:
    """Return a machine's name as the host name that it comes nearest to."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-") or "machine"


def _errors(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "lxc-start said nothing"
    # "lxc-start NAME TIME ERROR    part - file:function:line - what happened"
    errors = [line.rpartition(" - ")[2] for line in lines if " ERROR " in line]
    return "; ".join(errors[:6]) or "lxc-start said nothing"


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # After the command, which may hold anything in its brackets: state first, start time 20th.
    values = stat.rpartition(")")[2].split()
    return None if values[0] in "ZX" else values[19]


def _cgroup_directories(name: str) -> list[Path]:
    # v1 has a directory in each controller's tree, v2 one in all.
    return [path for path in (*_CGROUPS.glob(f"*/{name}"), _CGROUPS / name) if path.is_dir()]


def _members(name: str) -> list[Process]:
    pids: set[int] = set()
    for directory in _cgroup_directories(name):
        for file in (directory / "cgroup.procs", *directory.glob("**/cgroup.procs")):
            with contextlib.suppress(OSError):
                pids.update(int(word) for word in file.read_text().split())
    return [process for pid in sorted(pids) if pid > 0 and (process := Process.of(pid))]


def _signal(processes: list[Process], number: signal.Signals, seconds: float) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                # Asked after the descriptor is open, so that it cannot be another process.
                if process.lives:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
    _wait(processes, seconds)


def _wait(processes: list[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if process.lives:
                    poll = select.poll()
                    poll.register(descriptor, select.POLLIN)
                    poll.poll(1000 * max(0.0, deadline - time.monotonic()))
            finally:
                os.close(descriptor)


def _remove_cgroups(machine_id: str) -> None:
    for name in (f"lxc.payload.{machine_id}", f"lxc.monitor.{machine_id}"):
        for directory in _cgroup_directories(name):
            _remove_cgroup(directory)


def _remove_cgroup(directory: Path) -> None:
    inner = sorted((p for p in directory.glob("**/*") if p.is_dir()), reverse=True)
    for path in (*inner, directory):
        for _ in range(100):
            try:
                path.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                # The last process is still being buried.
                time.sleep(0.01)
            else:
                break
