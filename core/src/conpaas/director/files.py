"""What managers hand over: their state and their files, one directory for each application."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import IO

from conpaas import files
from conpaas.errors import InvalidError, NotFoundError
from conpaas.rpc import Download
from conpaas.web import pieces_of

MAX_SNAPSHOT = 256 << 20  #: bytes


class ApplicationFiles:
    """The files of one application.

    Args:
        directory: For all applications.
        application: Its number.
        limit: Of one file, in bytes.
    """

    def __init__(self, directory: Path, application: int, limit: int) -> None:
        self._directory = directory / str(application)
        self._limit = limit

    def put_snapshot(self, stream: IO[bytes]) -> None:
        """Keep a manager's state in place of the one before."""
        self._receive(stream, self._directory / "manager.db", MAX_SNAPSHOT, None)

    def snapshot(self) -> Download:
        """Return the state that was kept last; empty when there is none."""
        return self._send(self._directory / "manager.db", missing_ok=True)

    def put(self, digest: str, stream: IO[bytes]) -> None:
        """Keep a file.

        Raises:
            InvalidError: The content is not that of the digest.
            TooLargeError: It is too long.
        """
        self._receive(stream, self._path(digest), self._limit, digest)

    def get(self, digest: str) -> Download:
        """Return a file.

        Raises:
            NotFoundError: There is none.
        """
        return self._send(self._path(digest), missing_ok=False)

    def delete(self, digest: str) -> None:
        """Forget a file; one that is gone is fine."""
        self._path(digest).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Forget everything of the application."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._directory)

    def _path(self, digest: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise InvalidError("digest must be a SHA-256 in hex")
        return self._directory / "blobs" / digest

    def _receive(self, stream: IO[bytes], there: Path, limit: int, digest: str | None) -> None:
        with files.receive(stream, there.parent, limit) as received:
            if digest not in (None, received.digest):
                raise InvalidError("the content does not have that digest")
            received.keep(there)

    def _send(self, path: Path, *, missing_ok: bool) -> Download:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            if missing_ok:
                return Download(iter(()), path.name, size=0)
            raise NotFoundError(f"there is no file {path.name[:12]} here") from None
        return Download(pieces_of(file), path.name, size=os.fstat(file.fileno()).st_size)
