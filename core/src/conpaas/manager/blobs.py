"""Files that survive the manager's machine: kept here and at the director."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO

from conpaas.api import ManagerDesk
from conpaas.errors import NotFoundError, TooLargeError
from conpaas.manager.place import Blob
from conpaas.rpc import Upload

PIECE = 1 << 16


class DirectorBlobs:
    """A directory of files named by their SHA-256, with a copy of each at the director.

    Args:
        directory: Where the files lie here.
        desk: The director.
    """

    def __init__(self, directory: Path, desk: ManagerDesk) -> None:
        self._directory = directory
        self._desk = desk

    def put(self, stream: IO[bytes], limit: int) -> Blob:
        """Store what ``stream`` holds; when this returns, the director has it too."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            temporary = Path(file.name)
            try:
                blob = _copy(stream, file, limit)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                self._desk.put_blob(
                    digest=blob.digest, content=Upload(file, blob.digest, blob.size)
                )
                temporary.replace(self._directory / blob.digest)
            finally:
                temporary.unlink(missing_ok=True)
        return blob

    def path(self, digest: str) -> Path:
        """Return where the file is on this machine, fetched from the director if need be."""
        there = self._directory / digest
        if not there.exists():
            self._fetch(digest, there)
        return there

    def delete(self, digest: str) -> None:
        """Forget a file, here and at the director."""
        self._desk.delete_blob(digest=digest)
        (self._directory / digest).unlink(missing_ok=True)

    def _fetch(self, digest: str, there: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            temporary = Path(file.name)
            try:
                seen = hashlib.sha256()
                for piece in self._desk.get_blob(digest=digest).pieces:
                    seen.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                if seen.hexdigest() != digest:
                    raise NotFoundError(
                        f"the director's copy of the file {digest[:12]} is damaged"
                    )
                temporary.replace(there)
            finally:
                temporary.unlink(missing_ok=True)


def _copy(stream: IO[bytes], file: IO[bytes], limit: int) -> Blob:
    seen, size = hashlib.sha256(), 0
    while piece := stream.read(PIECE):
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"the file has more than the {limit >> 20} MB that are allowed")
        seen.update(piece)
        file.write(piece)
    return Blob(seen.hexdigest(), size)
