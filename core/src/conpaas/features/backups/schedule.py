"""When backups are made by themselves, and which of them are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from conpaas.features.backups.book import SCHEDULED, Backup, Schedule
from conpaas.schema import Check

OFF = "off"
_MOST_HOURS = 8784  #: a year
#: Seconds after which a backup that failed is tried again; less when they are more frequent.
_RETRY = 600.0


def _complaint(text: str) -> str | None:
    if text == OFF or (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_HOURS):
        return None
    return f"must be 1 to {_MOST_HOURS} hours, or {OFF}"


Every = Annotated[str, Check(_complaint, f"1 to {_MOST_HOURS}, or {OFF}")]


def hours(every: str) -> int:
    """Return the hours that a text means, 0 for never."""
    return 0 if every == OFF else int(every)


def next_time(schedule: Schedule, begun: float) -> float:
    """Return when the next backup is due after one that was begun at a time.

    It is at the same time of the day or hour as ever: those that were missed are left out.
    """
    step = 3600.0 * max(1, schedule.every)
    return schedule.next + step * max(1, math.floor((begun - schedule.next) / step) + 1)


def retry_after(schedule: Schedule) -> float:
    """Return the seconds after which a backup that failed is tried again."""
    return min(_RETRY, 3600.0 * max(1, schedule.every) / 4)


def superfluous(backups: Sequence[Backup], keep: int) -> list[Backup]:
    """Return which of the backups that were made by themselves are too many.

    Args:
        backups: All, newest first.
        keep: How many are kept; what is known to be broken does not count among them.
    """
    own = [backup for backup in backups if backup.kind == SCHEDULED]
    kept = [backup for backup in own if backup.whole is not False][:keep]
    if not kept:
        return []
    return own[own.index(kept[-1]) + 1 :]
