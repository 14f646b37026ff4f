"""The processes of a local machine: an LXC instance over a base image."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from conpaas.clouds.local.commands import run
from conpaas.clouds.local.network import Network, hardware_address
from conpaas.clouds.local.processes import Process, members, remove_cgroup, send, wait
from conpaas.clouds.local.store import MachineRecord, Store, write
from conpaas.errors import CloudError

_MAX_PROCESSES = 4096
_START_TIMEOUT = 60.0
_PERIOD = 100_000


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
        # What a killed monitor left would make lxc take other names.
        self.remove(record.id)
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
        # Popen.wait with a time-out looks every 50 ms only, as long as a whole start takes.
        process = Process.of(starter.pid)
        wait([process] if process else [], _START_TIMEOUT)
        code = starter.poll()
        if code is None:
            starter.kill()
            starter.wait()
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
        send([init], signal.SIGTERM, grace)
        self.kill(machine_id)

    def kill(self, machine_id: str) -> None:
        """End all processes of a machine, lxc's monitor of it too.

        Raises:
            CloudError: They do not end.
        """
        first = self.init(machine_id)
        monitors = members(f"lxc.monitor.{machine_id}")
        send([first] if first else [], signal.SIGKILL, 5.0)
        # The monitor ends by itself after its instance; one that has none any more does not.
        wait(monitors, 2.0)
        deadline = time.monotonic() + 10.0
        while left := self._processes(machine_id):
            if time.monotonic() > deadline:
                raise CloudError(f"processes {[p.pid for p in left]} of {machine_id} do not end")
            send(left, signal.SIGKILL, 1.0)
        self._init_file(machine_id).unlink(missing_ok=True)
        self.remove(machine_id)

    def remove(self, machine_id: str) -> None:
        """Take away what the kernel may still keep of an instance that has ended."""
        for name in _cgroups(machine_id):
            remove_cgroup(name)
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
        return [process for name in _cgroups(machine_id) for process in members(name)]

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
{_shown_cgroups(record.id)}{volumes}lxc.net.0.type = veth
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


def _shown_cgroups(machine_id: str) -> str:
    """Show a machine what it uses itself: /proc there tells of this host."""
    group, mounted = _cgroups(machine_id)[0], Path("/sys/fs/cgroup")
    if (mounted / "cgroup.controllers").exists():
        sources = {"unified": mounted / group}
    else:
        kinds = [kind for kind in ("cpu", "cpuacct", "memory") if (mounted / kind).is_dir()]
        sources = {kind: mounted / kind / group for kind in kinds}
    return "".join(
        f"lxc.mount.entry = {source} run/cgroup/{kind} none bind,ro,optional,create=dir 0 0\n"
        for kind, source in sources.items()
    )


def hostname(name: str) -> str:
    """Return a machine's name as the host name that it comes nearest to."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-") or "machine"


def _cgroups(machine_id: str) -> tuple[str, str]:
    return f"lxc.payload.{machine_id}", f"lxc.monitor.{machine_id}"


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
