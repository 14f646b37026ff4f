"""Files that survive the manager's machine: kept here and at the director."""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import IO

from conpaas import files
from conpaas.api import ManagerDesk
from conpaas.errors import NotFoundError
from conpaas.manager.place import Blob
from conpaas.rpc import Upload


class DirectorBlobs:
    """A directory of files named by their SHA-256, with a copy of each at the director.

    Two services that keep the same content share a file: it goes when nobody holds it any more.

    Args:
        directory: Where the files lie here.
        desk: The director.
        holders: Persisted: the names of those that hold a file, by its SHA-256.
    """

    def __init__(
        self, directory: Path, desk: ManagerDesk, holders: MutableMapping[str, list[str]]
    ) -> None:
        self._directory = directory
        self._desk = desk
        self._holders = holders
        # One for each file: a large one that is on its way must not hold up the others.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        files.clear_away(directory)

    def of(self, holder: str) -> HeldBlobs:
        """Return the files as one service sees them."""
        return HeldBlobs(self, holder)

    def put(
        self,
        stream: IO[bytes] | Iterable[bytes],
        limit: int,
        holder: str,
        note: Callable[[Blob], None],
    ) -> Blob:
        """Store what ``stream`` holds; when this returns, the director has it too."""
        with (
            files.receive(stream, self._directory, limit) as received,
            self._locks[received.digest],
        ):
            blob = Blob(received.digest, received.size)
            note(blob)
            # Noted first: a file that nobody is known to hold would never go.
            held = self._holders.get(received.digest, [])
            self._holders[received.digest] = sorted({*held, holder})
            with received.path.open("rb") as file:
                self._desk.put_blob(
                    digest=received.digest,
                    content=Upload(file, received.digest, received.size),
                )
            received.keep(self._directory / received.digest)
            return blob

    def path(self, digest: str) -> Path:
        """Return where the file is on this machine, fetched from the director if need be."""
        there = self._directory / digest
        if not there.exists():
            self._fetch(digest, there)
        return there

    def delete(self, digest: str, holder: str) -> None:
        """Let go of a file; what nobody holds is forgotten, here and at the director."""
        with self._locks[digest]:
            left = [name for name in self._holders.get(digest, []) if name != holder]
            if left:
                self._holders[digest] = left
                return
            self._desk.delete_blob(digest=digest)
            (self._directory / digest).unlink(missing_ok=True)
            self._holders.pop(digest, None)

    def forget(self, holder: str) -> None:
        """Let go of all files that a service holds."""
        for digest in [one for one, names in self._holders.items() if holder in names]:
            self.delete(digest, holder)

    def _fetch(self, digest: str, there: Path) -> None:
        pieces = self._desk.get_blob(digest=digest).pieces
        with files.receive(pieces, self._directory, sys.maxsize) as received:
            if received.digest != digest:
                raise NotFoundError(f"the director's copy of the file {digest[:12]} is damaged")
            received.keep(there)


class HeldBlobs:
    """The files that one service holds.

    Args:
        blobs: Those of the application.
        holder: The service's name.
    """

    def __init__(self, blobs: DirectorBlobs, holder: str) -> None:
        self._blobs = blobs
        self._holder = holder

    def put(
        self,
        stream: IO[bytes] | Iterable[bytes],
        limit: int,
        note: Callable[[Blob], None] = lambda blob: None,
    ) -> Blob:
        """Store what ``stream`` holds; when this returns, the director has it too."""
        return self._blobs.put(stream, limit, self._holder, note)

    def path(self, digest: str) -> Path:
        """Return where the file is on this machine, fetched from the director if need be."""
        return self._blobs.path(digest)

    def delete(self, digest: str) -> None:
        """Let go of a file; one that is gone is fine."""
        self._blobs.delete(digest, self._holder)
