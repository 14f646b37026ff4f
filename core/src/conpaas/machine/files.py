"""Files of this machine, written so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


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
