"""Processes of this machine: who they are, and the end of whole families of them.

Knows nothing of ConPaaS.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Identity:
    """A process that no other is ever taken for.

    ``start`` is in the kernel's ticks since the boot that ``boot`` names: unlike a time of day it
    does not change when somebody sets the clock.
    """

    boot: str
    pid: int
    start: int


def identity(pid: int) -> Identity | None:
    """Return who has that number now; None when nobody has, or only a dead one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may contain anything.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Identity(boot, pid, int(fields[19]))


def is_alive(who: Identity) -> bool:
    """Whether that very process still runs."""
    return identity(who.pid) == who


def adopt_orphans() -> None:
    """Make this process the parent of all descendants that lose theirs.

    So none of them can hide, whatever sessions and process groups they begin.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(pid: int) -> list[psutil.Process]:
    """Return the living descendants of a process."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in found if identity(process.pid)]


def terminate_descendants(pid: int) -> None:
    """Ask the descendants of a process to end."""
    for process in descendants(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()


def kill_descendants(pid: int, patience: float = 5.0) -> bool:
    """Kill the descendants of a process, and return whether all are gone.

    Args:
        pid: Their ancestor, which is left alone.
        patience: For how long to try again, in seconds.
    """
    until = time.monotonic() + patience
    while family := descendants(pid):
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()  # whoever stands still has no more children
        for process in descendants(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Afterwards: on a busy machine only to find them may take longer.
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def exit_code(status: int) -> int:
    """Return the exit code for a status of wait(2), 128 + n for signal n as shells say it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
