"""Copies of a database on their way to another member, or from one.

The server has scripts make them, in process groups of their own.  One that is killed leaves them
behind: they would go on writing into data that the next server uses.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Transfer:
    """A script that sends or receives a copy of the database in some directory.

    Args:
        pid: Of its process, which is the first of a group.
        method: ``rsync`` or ``mariabackup``.
        sends: It gives a copy; otherwise it gets one.
        is_whole: It is not just what was missed that is sent.
    """

    pid: int
    method: str
    sends: bool
    is_whole: bool


def transfers(data: Path, proc: Path = Path("/proc")) -> Iterator[Transfer]:
    """Find the transfers of the database in a directory."""
    for directory in proc.iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended meanwhile
        script = next((Path(w).name for w in words[:2] if _SCRIPT in w), "")
        if script and any(Path(word) == data for word in words if word.startswith("/")):
            yield Transfer(
                int(directory.name),
                script.removeprefix(_SCRIPT),
                "donor" in words,
                "--bypass" not in words,
            )


def end_transfers(data: Path) -> bool:
    """Kill the transfers of a database whose server does not run; return whether any were left."""
    found = list(transfers(data))
    for transfer in found:
        with contextlib.suppress(ProcessLookupError):
            group = os.getpgid(transfer.pid)
            if group != os.getpgid(0):
                os.killpg(group, signal.SIGKILL)
            os.kill(transfer.pid, signal.SIGKILL)
    return bool(found)


_SCRIPT = "wsrep_sst_"
