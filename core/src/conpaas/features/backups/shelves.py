"""Where backups lie: with manager and director, or on a volume of the service."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from conpaas.errors import InvalidError, NotFoundError, WrongStateError
from conpaas.features.backups.book import MANAGER, Backup, Loose
from conpaas.features.volumes.manager import VolumeManager
from conpaas.features.volumes.nodes import ATTACHED
from conpaas.manager.place import Blob
from conpaas.rpc import Job, Progress, Upload, patiently, scaled
from conpaas.streams import stream_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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
        """Open a backup; it can be read again from its beginning."""

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
        try:
            found = yield from scaled(self._digest(backup), 0, 80)
            if found == backup.sha256:
                return
            self._log.warning("%s: the manager's copy is damaged", backup.name)
            # It may be the disk: the director has another.
            self._blobs.path(backup.sha256).unlink()
            found = yield from scaled(self._digest(backup), 80, 100)
        except NotFoundError as error:
            raise InvalidError(f"{_changed(backup)} ({error})") from error
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
            # Patiently: after a crash of the manager the agent may still read this very backup.
            found = yield from patiently(
                lambda: self._agent.measure_backup(volume=self._volume, name=backup.name)
            )
        except NotFoundError as error:
            raise InvalidError(f"the backup {backup.name} is gone: {error}") from error
        if found.sha256 != backup.sha256:
            raise InvalidError(_changed(backup))

    @contextmanager
    def open(self, backup: Backup) -> Iterator[IO[bytes]]:
        fetch = partial(self._agent.fetch_backup, volume=self._volume, name=backup.name)
        with _Fetched(lambda: fetch().pieces) as file:
            yield cast("IO[bytes]", file)

    def remove(self, loose: Loose) -> None:
        self._agent.remove_backup(volume=self._volume, name=loose.name)


class _Fetched(io.RawIOBase):
    """A file of another machine: fetched when it is read, and again when it is read again."""

    def __init__(self, fetch: Callable[[], Iterable[bytes]]) -> None:
        self._fetch = fetch
        self._stream: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._stream is None:
            self._stream = stream_of(self._fetch())
        piece = self._stream.read(len(memoryview(buffer)))
        memoryview(buffer)[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("only to its beginning")
        self._let_go()
        return 0

    def close(self) -> None:
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _changed(backup: Backup) -> str:
    return (
        f"the backup {backup.name} is broken: its content is not what was written on "
        f"{backup.time}; take another one"
    )
