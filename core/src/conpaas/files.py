"""Files of this machine, written so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conpaas.errors import TooLargeError

_PIECE = 1 << 16
_COMING = ".new-"  #: begins the names of what has not arrived yet
#: Bytes after which the disk must have what came: otherwise a last sync may take minutes.
_SYNC_EVERY = 64 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Received:
    """A file that has arrived, under a name for the time being.

    ``digest`` is its SHA-256 in hex, ``size`` in bytes.
    """

    path: Path
    digest: str
    size: int

    def keep(self, path: Path) -> None:
        """Give it its name, in one step and for good."""
        self.path.replace(path)
        sync_directory(path.parent)


@contextmanager
def receive(
    source: IO[bytes] | Iterable[bytes], directory: Path, limit: int
) -> Iterator[Received]:
    """Write what comes to a file on the disk, piece by piece; it goes again unless it is kept.

    Args:
        source: A stream, or the pieces themselves.
        directory: Where the file is to be; made if need be.
        limit: How many bytes it may have.

    Raises:
        TooLargeError: It has more, or the disk is full; nothing is left of it.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=_COMING)
    path = Path(name)
    try:
        # Without a buffer: what a full disk did not take must not come again when it is closed.
        with open(descriptor, "wb", buffering=0) as file:
            received = _received(source, file, path, limit)
        yield received
    finally:
        path.unlink(missing_ok=True)


def clear_away(directory: Path) -> None:
    """Remove what was arriving when its process was killed; nothing may be arriving now."""
    for left in directory.glob(f"{_COMING}*"):
        left.unlink(missing_ok=True)


def _received(
    source: IO[bytes] | Iterable[bytes], file: io.FileIO, path: Path, limit: int
) -> Received:
    seen, size, synced = hashlib.sha256(), 0, 0
    for piece in _pieces(source):
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"the file has more than the {limit >> 20} MB that are allowed")
        seen.update(piece)
        with _told_when_full(size):
            _write(file, piece)
            if size - synced > _SYNC_EVERY:
                os.fsync(file.fileno())
                synced = size
    with _told_when_full(size):
        os.fsync(file.fileno())
    return Received(path, seen.hexdigest(), size)


@contextmanager
def _told_when_full(size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise TooLargeError(
            f"there is no room on the disk: it was full after {size >> 20} MB of the file"
        ) from error


def _write(file: io.FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) or 0 :]


def _pieces(source: IO[bytes] | Iterable[bytes]) -> Iterator[bytes]:
    read = getattr(source, "read", None)
    return iter(lambda: read(_PIECE), b"") if read is not None else iter(source)


def write(path: Path, content: str | bytes, mode: int = 0o644, *, durable: bool = False) -> bool:
    """Write a file in one step and say whether anything changed.

    A reader sees the old content or the new one; a file that already holds ``content`` with
    ``mode`` is left alone.

    Args:
        path: The file; its directory must exist.
        content: All of it; text becomes UTF-8.
        mode: Permissions, never wider than this at any moment.
        durable: Wait until the disk has it, for what cannot be made again.
    """
    data = content.encode() if isinstance(content, str) else content
    if _holds(path, data, mode):
        return False
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)  # the umask may have taken some away
            if durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)
    return True


def link(path: Path, target: str) -> bool:
    """Make ``path`` a symbolic link to ``target`` in one step; say whether anything changed."""
    with contextlib.suppress(OSError):
        if os.readlink(path) == target:
            return False
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    new.symlink_to(target)
    new.replace(path)
    return True


def sync_file_system(path: Path) -> None:
    """Have everything on the disk that was written to the file system of a path.

    Raises:
        OSError: The disk did not take it.
    """
    # Late: the command line imports this file, and runs nothing.
    import subprocess

    # Python has no syncfs().
    done = subprocess.run(["sync", "-f", str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def sync_directory(directory: Path) -> None:
    """Wait until the disk knows the directory's present entries."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: Path, data: bytes, mode: int) -> bool:
    try:
        return path.stat().st_mode & 0o7777 == mode and path.read_bytes() == data
    except OSError:
        return False
