"""How backups are made, tried, put back and removed, on whichever shelf they lie."""

from __future__ import annotations

import abc
import contextlib
import datetime as dt
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import IO, TypeVar

from conpaas.api import VolumeInfo
from conpaas.beside import beside, job_beside
from conpaas.errors import ConPaaSError, InvalidError, NotFoundError
from conpaas.features.backups.agent import BackupAgent
from conpaas.features.backups.book import MANAGER, Backup, BackupBook, Loose
from conpaas.features.backups.shelves import Shelf, shelf_of
from conpaas.features.volumes.manager import VolumeManager
from conpaas.manager.place import Blob, ManagerPlace
from conpaas.rpc import Job, Progress, scaled

A = TypeVar("A", bound=BackupAgent)
#: Key of the store: the backup that a repair puts back, while what is kept may be in pieces.
_IN_PIECES = "in_pieces"


class MakingManager(VolumeManager[A], abc.ABC):
    """What :class:`BackupManager` is made of; its steps may be repeated."""

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self.backups = BackupBook(self.store)
        self._being_written: set[str] = set()
        self.clear_again = 0.0

    @abc.abstractmethod
    def write_backup(self) -> Generator[bytes, None, None]:
        """Return the pieces of a consistent copy of all that users keep.

        Raises:
            ConPaaSError: There is none, or none as a whole; at any piece.
        """

    @abc.abstractmethod
    def check_backup(self, content: IO[bytes], size: int) -> Job[str]:
        """Try a backup where it harms nothing, and return what is in it, in a sentence.

        Raises:
            InvalidError: It is broken, or not one of this type.
        """

    @abc.abstractmethod
    def read_backup(self, content: IO[bytes], size: int) -> Job[None]:
        """Put what a backup holds in the place of what there is."""

    def check_backup_place(self, volume: VolumeInfo) -> None:
        """Raise when backups must not lie on a volume, as where the data is itself."""

    def shelf(self, place: str) -> Shelf:
        """Return where backups lie that were made at a place."""
        if self.is_gone(place):
            raise NotFoundError(
                f"the volume {place} is gone, and with it the backups that were kept there: have "
                "new ones kept elsewhere (set_backup_schedule --place), and take the old ones off "
                "the list (delete_backup)"
            )
        return shelf_of(self, place)

    def make_backup(self, kind: str) -> Job[Backup]:
        """Make a backup; run again after a crash, one that is there already is returned."""
        name = self.place.remember(f"backup {kind}", self._new_name)
        made = next((one for one in self.backups.all() if one.name == name), None)
        if made is not None:
            return made
        self.clear_away()
        place = self.backups.schedule.place
        shelf, begun = self.shelf(place), self._now()
        yield Progress(0, f"making the backup {name}")
        self.backups.begin(Loose(name, place))
        done = 0

        def write(given_up: threading.Event) -> Blob:
            self._being_written.add(name)
            try:
                return shelf.keep(name, counted(given_up), self._most(place), note)
            finally:
                self._being_written.discard(name)

        def counted(given_up: threading.Event) -> Generator[bytes, None, None]:
            nonlocal done
            with closing(self.write_backup()) as pieces:
                for piece in pieces:
                    if given_up.is_set():
                        raise ConPaaSError(f"nobody waits for the backup {name} any more")
                    done += len(piece)
                    yield piece

        def note(blob: Blob) -> None:
            self.backups.begin(Loose(name, place, blob.digest))

        try:
            blob = yield from beside(
                write, lambda: Progress(10, f"making the backup {name}: {done >> 20} MB")
            )
        except Exception:
            # Of a job that is cancelled it is removed when the service has nothing else to do.
            self.clear_away()
            raise
        backup = Backup(name, begun, blob.size, blob.digest, kind, place)
        self.backups.add(backup)
        self.log.info("backup %s is made (%d bytes, %s)", name, blob.size, place)
        return backup

    def try_backup(self, backup: Backup) -> Job[Backup]:
        """Try a backup, and note what was found."""
        shelf = self.shelf(backup.place)
        with self._noting_broken(backup):
            # Each on a thread: who is asked may be lost just then, and a fault must not wait.
            yield from scaled(job_beside(shelf.check(backup), f"reading {backup.name}"), 0, 20)
            with shelf.open(backup) as content:
                checking = job_beside(
                    self.check_backup(content, backup.size), f"trying {backup.name}"
                )
                found = yield from scaled(checking, 20, 100)
        return self._note_found(backup, found, whole=True)

    def check_whole(self, backup: Backup) -> Job[None]:
        """See whether a backup is still as it was made; note it when it is not."""
        with self._noting_broken(backup):
            yield from self.shelf(backup.place).check(backup)

    @contextlib.contextmanager
    def _noting_broken(self, backup: Backup) -> Iterator[None]:
        try:
            yield
        except InvalidError as error:
            self._note_found(backup, str(error), whole=False)
            self.log.error("backup %s: %s", backup.name, error)
            raise

    def _note_found(self, backup: Backup, found: str, *, whole: bool) -> Backup:
        changed = replace(backup, checked=self._now(), found=found, whole=whole)
        self.backups.change(changed)
        return changed

    def put_back(self, backup: Backup, otherwise: Backup) -> Job[None]:
        """Put a backup in the place of what there is.

        Args:
            backup: Which.
            otherwise: It is what a repair puts back when neither the old nor the new is whole.
        """
        self.store[_IN_PIECES] = otherwise.name
        yield from self.steadily(lambda: self._read(backup))
        self.backups.change(replace(backup, restored=self._now()))
        self.store.pop(_IN_PIECES, None)
        self.log.info("backup %s is restored", backup.name)

    def is_in_pieces(self) -> bool:
        """Whether a restore has ended half-way."""
        return _IN_PIECES in self.store or super().is_in_pieces()

    def make_whole(self) -> Job[None]:
        """End a restore that has ended half-way: put back what it would have gone back to."""
        yield from scaled(super().make_whole(), 0, 10)
        if (name := self.store.get(_IN_PIECES)) is None:
            return
        backup = next((one for one in self.backups.all() if one.name == name), None)
        if backup is None:
            self.place.note(f"the backup {name} is gone: what a restore left half done stays so")
            self.store.pop(_IN_PIECES)
            return
        yield Progress(10, f"putting back {name}")
        yield from scaled(self.put_back(backup, backup), 10, 100)
        self.place.note(f"the backup {name} was put back: a restore had ended half-way")

    def _read(self, backup: Backup) -> Job[None]:
        with self.shelf(backup.place).open(backup) as content:
            yield from self.read_backup(content, backup.size)

    def go_back(self, before: Backup, error: ConPaaSError) -> Job[None]:
        """Put back what was there before, and raise the error that made it necessary."""
        yield Progress(0, f"going back to {before.name}, because: {error}")
        try:
            yield from self.put_back(before, before)
        except ConPaaSError as another:
            told = (
                f"{error}; what was there before could not be put back either ({another}): "
                f"it is the backup {before.name}. {advice(before)}"
            )
        else:
            told = f"{error}; what was there before has been put back"
        raise ConPaaSError.from_json({"code": error.code, "message": told}) from error

    def clear_away(self) -> None:
        """Remove what lies about: of backups that were cut off, and of those that are deleted."""
        for loose in self.backups.loose():
            if loose.name in self._being_written:
                continue  # by a job that was cancelled: it is about to notice
            used = [(one.place, one.sha256) for one in self.backups.all()]
            shared = loose.place == MANAGER and (MANAGER, loose.sha256) in used
            try:
                if not shared and not self.is_gone(loose.place):
                    shelf_of(self, loose.place).remove(loose)
            except ConPaaSError as error:
                self.log.warning("%s is removed later: %s", loose.name, error)
                continue
            self.backups.forget(loose)

    def is_gone(self, place: str) -> bool:
        """Whether a place was deleted, with all that was kept there."""
        return place != MANAGER and place not in [volume.name for volume in self.volumes.all()]

    def _most(self, place: str) -> int:
        """Return how many bytes a backup may have: on a volume, as many as there is room for."""
        return self.place.backup_limit if place == MANAGER else (1 << 63) - 1

    def _new_name(self) -> str:
        now = dt.datetime.fromtimestamp(self.place.samples.now(), dt.UTC)
        wanted = f"backup-{now:%Y-%m-%d-%H%M}"
        taken = {backup.name for backup in self.backups.all()}
        taken |= {loose.name for loose in self.backups.loose()}
        names = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3))]
        return next(name for name in names if name not in taken)

    def _now(self) -> str:
        now = dt.datetime.fromtimestamp(self.place.samples.now(), dt.UTC)
        return now.isoformat(timespec="seconds")


def advice(backup: Backup) -> str:
    """Return what to do when a backup is to be put back and could not be."""
    return f"A repair puts {backup.name} back; to keep what there is now, delete that backup first"
