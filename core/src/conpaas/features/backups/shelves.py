"""Where backups lie: with manager and director, or on a volume of the service."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol

from conpaas.errors import InvalidError, NotFoundError, WrongStateError
from conpaas.features.backups.book import MANAGER, Backup, Loose
from conpaas.features.volumes.manager import VolumeManager
from conpaas.features.volumes.nodes import ATTACHED
from conpaas.manager.place import Blob
from conpaas.rpc import Job, Progress, Upload, scaled
from conpaas.streams import stream_of

_PIECE = 1 << 20
_TOLD_EVERY = 32  #: pieces

Note = Callable[[Blob], None]


class Shelf(Protocol):
    """A place where backups lie."""

    def keep(self, name: str, pieces: Iterable[bytes], limit: int, note: Note) -> Blob:
        """Keep a backup as a whole; ``note`` is told what it is before it is there, if possible.

        Raises:
            TooLargeError: It has more than ``limit`` bytes, or there is no room.
        """

    def check(self, backup: Backup) -> Job[None]:
        """See whether a backup is there as it was made.

        Raises:
            InvalidError: It is not.
        """

    @contextmanager
    def open(self, backup: Backup) -> Iterator[IO[bytes]]:
        """Open a backup."""

    def remove(self, loose: Loose) -> None:
        """Remove what lies there of a backup; nothing is fine."""


def shelf_of(manager: VolumeManager[Any], place: str) -> Shelf:
    """Return the shelf at a place.

    Raises:
        NotFoundError: The service has no such volume.
        WrongStateError: The volume is not attached to a node that serves.
    """
    if place == MANAGER:
        return _ManagerShelf(manager)
    volume = manager.volumes.find(place)
    node = manager.volumes.node_of(volume)
    if volume.state != ATTACHED or node is None or node not in manager.nodes:
        raise WrongStateError(
            f"the volume {place} is not attached to a node that serves: attach it first"
        )
    return _VolumeShelf(manager.agent(node), place)


class _ManagerShelf:
    """Files that manager and director keep."""

    def __init__(self, manager: VolumeManager[Any]) -> None:
        self._blobs = manager.blobs
        self._log = manager.log

    def keep(self, name: str, pieces: Iterable[bytes], limit: int, note: Note) -> Blob:
        return self._blobs.put(pieces, limit, note)

    def check(self, backup: Backup) -> Job[None]:
        found = yield from scaled(self._digest(backup), 0, 80)
        if found == backup.sha256:
            return
        self._log.warning("%s: the manager's copy is damaged", backup.name)
        # It may be the disk: the director has another.
        self._blobs.path(backup.sha256).unlink()
        found = yield from scaled(self._digest(backup), 80, 100)
        if found != backup.sha256:
            raise InvalidError(_changed(backup))

    def _digest(self, backup: Backup) -> Job[str]:
        yield Progress(0, f"reading {backup.name}")
        digest = hashlib.sha256()
        with self.open(backup) as file:
            for number, piece in enumerate(iter(lambda: file.read(_PIECE), b"")):
                digest.update(piece)
                if number % _TOLD_EVERY == 0:
                    yield Progress(0, f"reading {backup.name}")
        return digest.hexdigest()

    @contextmanager
    def open(self, backup: Backup) -> Iterator[IO[bytes]]:
        with self._blobs.path(backup.sha256).open("rb") as file:
            yield file

    def remove(self, loose: Loose) -> None:
        if loose.sha256:
            self._blobs.delete(loose.sha256)


class _VolumeShelf:
    """Files on a volume, by way of the agent of its node."""

    def __init__(self, agent: Any, volume: str) -> None:
        self._agent = agent
        self._volume = volume

    def keep(self, name: str, pieces: Iterable[bytes], limit: int, note: Note) -> Blob:
        content = Upload(stream_of(pieces), name)
        kept = self._agent.keep_backup(
            volume=self._volume, name=name, content=content, limit=limit
        )
        return Blob(kept.sha256, kept.size)

    def check(self, backup: Backup) -> Job[None]:
        try:
            found = yield from self._agent.measure_backup(volume=self._volume, name=backup.name)
        except NotFoundError as error:
            raise InvalidError(f"the backup {backup.name} is gone: {error}") from error
        if found.sha256 != backup.sha256:
            raise InvalidError(_changed(backup))

    @contextmanager
    def open(self, backup: Backup) -> Iterator[IO[bytes]]:
        download = self._agent.fetch_backup(volume=self._volume, name=backup.name)
        with stream_of(download.pieces) as stream:
            yield stream

    def remove(self, loose: Loose) -> None:
        self._agent.remove_backup(volume=self._volume, name=loose.name)


def _changed(backup: Backup) -> str:
    return (
        f"the backup {backup.name} is broken: its content is not what was written on "
        f"{backup.time}; take another one"
    )
