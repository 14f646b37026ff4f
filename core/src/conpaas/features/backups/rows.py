"""What users see of backups."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from conpaas.features.backups.book import Backup, Schedule
from conpaas.features.backups.schedule import OFF

NEVER = "no"


@dataclass(frozen=True)
class BackupRow:
    """A row of ``list_backups``; ``size`` in bytes.

    ``verified`` is what was found when it was tried last, ``no`` if it never was; ``checked`` is
    when that was, or empty.
    """

    name: str
    time: str
    size: int
    kind: str
    place: str
    verified: str
    checked: str
    sha256: str


@dataclass(frozen=True)
class Restored:
    """A backup that was restored; ``before`` says where what it replaced is."""

    name: str
    before: str


@dataclass(frozen=True)
class ScheduleRow:
    """When backups are made by themselves; ``next`` and ``failed`` may be empty."""

    every: str
    keep: int
    place: str
    verify: str
    next: str
    failed: str


def row_of(backup: Backup) -> BackupRow:
    """Return a backup as users see it."""
    verified = NEVER
    if backup.whole is not None:
        verdict = "good" if backup.whole else "BROKEN"
        verified = f"{verdict}: {backup.found}"
    return BackupRow(
        backup.name,
        backup.time,
        backup.size,
        backup.kind,
        backup.place,
        verified,
        backup.checked,
        backup.sha256,
    )


def schedule_row(schedule: Schedule) -> ScheduleRow:
    """Return the schedule as users see it."""
    due = dt.datetime.fromtimestamp(max(schedule.next, schedule.again), dt.UTC)
    return ScheduleRow(
        every=f"every {schedule.every} h" if schedule.every else OFF,
        keep=schedule.keep,
        place=schedule.place,
        verify="on" if schedule.verify else "off",
        next=due.isoformat(timespec="seconds") if schedule.every else "",
        failed=schedule.failed,
    )
