"""Where there is room to try a backup, and whether there still is while it is being tried.

A trial shares its file system with what must not be harmed: a live database, or what the machine
needs.  How much a backup takes is known only once it has been read, so it is watched.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar, cast

from conpaas.errors import AgentError, InvalidError
from conpaas.rpc import Job

T = TypeVar("T")
#: What a trial needs beside the data: an empty server, and its logs.
_FIXED = 72 << 20
#: InnoDB's tables and indices, as a multiple of the SQL; small rows take more.
_FACTOR = 1.5
#: The part of a file system that a trial leaves free, and the least and the most of it: a live
#: database goes on writing until the trial has ended, however large its volume is.
_PART, _LEAST, _MOST = 10, 128 << 20, 1 << 30
_ADVICE = (
    "make the volume of its data larger (grow_volume), or have backups that are made by "
    "themselves not tried (set_backup_schedule --verify off)"
)


def place_for(bases: Sequence[Path], size: int, live: int, node: str) -> Path:
    """Return where to try a backup: the first place with enough room.

    Args:
        bases: Where it may be tried, the places before those where it could do harm.
        size: Of the backup's SQL, in bytes.
        live: What the databases that there are take, in bytes: the backup may take as much.
            Where nothing has that much room, what the SQL needs at least must do: a backup may be
            much smaller than what there is now.
        node: For people.

    Raises:
        AgentError: None has enough; says how much there is.
    """
    least = _FIXED + int(size * _FACTOR)
    room = {base: shutil.disk_usage(base).free - left_free(base) for base in bases}
    for needed in (max(least, _FIXED + live), least):
        for base, spare in room.items():
            if spare >= needed:
                return base
    best = max(room, key=lambda base: room[base])
    raise AgentError(
        f"there is no room to try the backup on {node}: it needs {least >> 20} MB for a while, "
        f"beside {left_free(best) >> 20} MB that stay free, and "
        f"{shutil.disk_usage(best).free >> 20} MB are free; {_ADVICE}"
    )


def left_free(base: Path) -> int:
    """Return how many bytes a trial leaves free on the file system of a directory."""
    return min(max(shutil.disk_usage(base).total // _PART, _LEAST), _MOST)


def while_room(job: Job[T], base: Path, node: str) -> Job[T]:
    """Run a part of a trial as long as it leaves enough room.

    Raises:
        AgentError: It does not; the part was ended.
    """
    with closing(job):
        while True:
            try:
                step = next(job)
            except StopIteration as stop:
                return cast("T", stop.value)
            except InvalidError:
                # A statement fails too when there is nothing left: that is no fault of the backup.
                _check(base, node)
                raise
            _check(base, node)
            yield step


def _check(base: Path, node: str) -> None:
    free, floor = shutil.disk_usage(base).free, left_free(base)
    if free < floor:
        raise AgentError(
            f"there is no room to try the backup on {node}: it takes more than expected, and "
            f"only {free >> 20} MB are free at {base}, where {floor >> 20} MB must stay free; the "
            f"trial was ended, and has harmed nothing; {_ADVICE}"
        )
