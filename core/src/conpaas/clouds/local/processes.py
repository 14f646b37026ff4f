"""Processes that are ended for sure, and the cgroups that lxc puts them in."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


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


def members(name: str) -> list[Process]:
    """Return the living processes of a cgroup of that name, on cgroup v1 or v2."""
    pids: set[int] = set()
    for directory in _cgroup_directories(name):
        for file in (directory / "cgroup.procs", *directory.glob("**/cgroup.procs")):
            with contextlib.suppress(OSError):
                pids.update(int(word) for word in file.read_text().split())
    return [process for pid in sorted(pids) if pid > 0 and (process := Process.of(pid))]


def send(processes: list[Process], number: signal.Signals, seconds: float) -> None:
    """Send a signal to processes and give them some seconds to end."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                # Asked after the descriptor is open, so that it cannot be another process.
                if process.lives:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
    wait(processes, seconds)


def wait(processes: list[Process], seconds: float) -> None:
    """Wait until processes have ended, or for some seconds in all."""
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


def remove_cgroup(name: str) -> None:
    """Remove a cgroup that nothing runs in any more."""
    for directory in _cgroup_directories(name):
        _remove_cgroup(directory)


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
