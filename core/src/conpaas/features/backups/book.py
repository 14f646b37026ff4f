"""What is noted of backups: those there are, what may lie about, and the schedule."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from conpaas.errors import NotFoundError
from conpaas.nearest import did_you_mean

_KEY = "backups"
BY_HAND = "by hand"
SCHEDULED = "schedule"
SAFETY = "before restore"
STOP = "before stop"
MANAGER = "manager"  #: the place of backups that manager and director keep


@dataclass(frozen=True)
class Backup:
    """A backup that is there as a whole.

    Args:
        name: Unique in the service.
        time: When it was begun, ISO 8601, UTC.
        size: In bytes.
        sha256: Of its content, in hex.
        kind: Why it was made: by hand, schedule, before restore, before stop.
        place: ``manager``, or the name of the volume that it is on.
        checked: When it was tried last; empty: never.
        found: What was found then.
        whole: Whether it was good then; None: it was never tried.
        restored: When it was put back last; empty: never.
    """

    name: str
    time: str
    size: int
    sha256: str
    kind: str
    place: str
    checked: str = ""
    found: str = ""
    whole: bool | None = None
    restored: str = ""


@dataclass(frozen=True)
class Loose:
    """What may lie at a place and is no backup: one that is being made, or deleted.

    Args:
        name: Of the backup.
        place: As of a backup.
        sha256: Of its content; empty while that is not known.
    """

    name: str
    place: str
    sha256: str = ""


@dataclass(frozen=True)
class Schedule:
    """When backups are made by themselves.

    Args:
        every: Hours between two; 0: none are made.
        keep: How many of them are kept.
        place: Where all backups are kept.
        verify: Whether each is tried at once.
        next: When the next one is due, in seconds since 1970.
        again: Not before then, after a failure.
        failed: Why the last one failed; empty when it did not.
    """

    every: int = 0
    keep: int = 7
    place: str = MANAGER
    verify: bool = True
    next: float = 0.0
    again: float = 0.0
    failed: str = ""


class BackupBook:
    """Keeps what is noted of a service's backups; every change is one write.

    Args:
        store: Of the service.
    """

    def __init__(self, store: MutableMapping[str, Any]) -> None:
        self._store = store

    def all(self) -> list[Backup]:
        """Return the backups, newest first."""
        return [Backup(**one) for one in self._noted["kept"]]

    def find(self, name: str) -> Backup:
        """Return the backup of that name.

        Raises:
            NotFoundError: There is none.
        """
        backups = self.all()
        for backup in backups:
            if backup.name == name:
                return backup
        near = did_you_mean(name, [backup.name for backup in backups])
        raise NotFoundError(f"the service has no backup {name[:64]!r}{near}")

    def newest(self, *kinds: str) -> Backup | None:
        """Return the backup that is most like what there is: of these kinds, or put back since.

        It is none that is known to be broken.
        """
        wanted = [one for one in self.all() if one.kind in kinds or one.restored]
        good = [one for one in wanted if one.whole is not False]
        return max(good, key=lambda one: max(one.time, one.restored), default=None)

    def loose(self) -> list[Loose]:
        """Return what must be cleared away, unless it is being worked on."""
        return [Loose(**one) for one in self._noted["loose"]]

    def begin(self, loose: Loose) -> None:
        """Note what is being made; noted again, more is known of it."""
        others = [one for one in self.loose() if one.name != loose.name]
        self._write(loose=[*others, loose])

    def add(self, backup: Backup) -> None:
        """Note that a backup is there as a whole."""
        others = [one for one in self.loose() if one.name != backup.name]
        self._write(kept=[backup, *self.all()], loose=others)

    def change(self, backup: Backup) -> None:
        """Note what is known now of a backup."""
        self._write(kept=[backup if one.name == backup.name else one for one in self.all()])

    def doom(self, backup: Backup) -> Loose:
        """Note that a backup is being deleted: it is none any more."""
        loose = Loose(backup.name, backup.place, backup.sha256)
        kept = [one for one in self.all() if one.name != backup.name]
        self._write(kept=kept, loose=[*self.loose(), loose])
        return loose

    def forget(self, loose: Loose) -> None:
        """Note that nothing lies about any more."""
        self._write(loose=[one for one in self.loose() if one.name != loose.name])

    @property
    def schedule(self) -> Schedule:
        """The schedule; at first, nothing is made by itself."""
        return Schedule(**self._noted["schedule"])

    def reschedule(self, **changes: Any) -> Schedule:
        """Change the schedule, and return it as it is then."""
        schedule = replace(self.schedule, **changes)
        self._store[_KEY] = {**self._noted, "schedule": asdict(schedule)}
        return schedule

    @property
    def _noted(self) -> dict[str, Any]:
        noted: dict[str, Any] = self._store.get(_KEY, {"kept": [], "loose": [], "schedule": {}})
        return noted

    def _write(self, **changes: list[Backup] | list[Loose]) -> None:
        new = {name: [asdict(one) for one in many] for name, many in changes.items()}
        self._store[_KEY] = {**self._noted, **new}
