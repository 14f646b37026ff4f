"""Files that survive the manager's machine: kept here and at the director."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from conpaas import files
from conpaas.api import ManagerDesk
from conpaas.errors import NotFoundError
from conpaas.manager.place import Blob
from conpaas.rpc import Upload


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
        with files.receive(stream, self._directory, limit) as received:
            with received.path.open("rb") as file:
                self._desk.put_blob(
                    digest=received.digest,
                    content=Upload(file, received.digest, received.size),
                )
            received.keep(self._directory / received.digest)
        return Blob(received.digest, received.size)

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
        pieces = self._desk.get_blob(digest=digest).pieces
        with files.receive(pieces, self._directory, sys.maxsize) as received:
            if received.digest != digest:
                raise NotFoundError(f"the director's copy of the file {digest[:12]} is damaged")
            received.keep(there)
