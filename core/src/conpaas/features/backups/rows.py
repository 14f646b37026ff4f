"""What users see of backups."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from conpaas.features.backups.book import Backup, Schedule
from conpaas.features.backups.schedule import OFF
from conpaas.schema import DETAIL

NEVER, GOOD, BROKEN = "no", "good", "BROKEN"


@dataclass(frozen=True)
class BackupRow:
    """A row of ``list_backups``; ``size`` in bytes.

    ``verified`` is ``good`` or ``BROKEN``, as it was found when it was tried last, ``no`` if it
    never was; ``found`` is what was found, ``checked`` when that was, or empty.
    """

    name: str
    time: str
    size: int
    kind: str
    place: str
    verified: str
    found: Annotated[str, DETAIL]
    checked: Annotated[str, DETAIL]
    sha256: Annotated[str, DETAIL]


@dataclass(frozen=True)
class Restored:
    """A backup that was restored; ``before`` says where what it replaced is."""

    name: str
    before: str


@dataclass(frozen=True)
class ScheduleRow:
    """When backups are made by themselves; ``next`` and ``failed`` may be empty.

    ``places`` are those where backups may be kept now.
    """

    every: str
    keep: int
    place: str
    verify: str
    next: str
    failed: str
    places: list[str]


def row_of(backup: Backup) -> BackupRow:
    """Return a backup as users see it."""
    verified = NEVER
    if backup.whole is not None:
        verified = GOOD if backup.whole else BROKEN
    return BackupRow(
        backup.name,
        backup.time,
        backup.size,
        backup.kind,
        backup.place,
        verified,
        backup.found,
        backup.checked,
        backup.sha256,
    )


def schedule_row(schedule: Schedule, places: list[str]) -> ScheduleRow:
    """Return the schedule as users see it."""
    due = dt.datetime.fromtimestamp(max(schedule.next, schedule.again), dt.UTC)
    return ScheduleRow(
        every=f"every {schedule.every} h" if schedule.every else OFF,
        keep=schedule.keep,
        place=schedule.place,
        verify="on" if schedule.verify else "off",
        next=due.isoformat(timespec="seconds") if schedule.every else "",
        failed=schedule.failed,
        places=places,
    )
