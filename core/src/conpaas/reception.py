"""Files that jobs work on: received as a whole before the job begins, gone when it has ended."""

from __future__ import annotations

import errno
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conpaas.errors import InvalidError, TooLargeError
from conpaas.rpc import Upload

_PIECE = 1 << 18
_STEP = 16 << 20  #: bytes, between two looks at how much room there is
#: Bytes of the disk that are left to those who need some to go on at all.
SPARED = 128 << 20


@dataclass(frozen=True)
class Room:
    """Where files of jobs may lie.

    Args:
        directory: Made when it is needed.
        limit: Bytes that one file may have.
    """

    directory: Path
    limit: int


def take_in(upload: Upload, room: Room) -> Upload:
    """Receive a file as a whole, and return it as one that can be read, and sought in, at leisure.

    It has no name: it is gone when it is closed, or with the process, however that ends.

    Raises:
        InvalidError: It broke off.
        TooLargeError: It has more bytes than it may, or than there is room for.
    """
    room.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (upload.size or 0) > room.limit:
        raise _too_large(upload, room)
    if (upload.size or 0) > _free(room):
        raise _no_room(upload, room)
    file: IO[bytes] = tempfile.TemporaryFile(dir=room.directory)  # noqa: SIM115 - it goes out
    try:
        size = asked = 0
        while piece := _piece(upload):
            size += len(piece)
            if size > room.limit:
                raise _too_large(upload, room)
            if upload.size is None and size >= asked:
                # Its size is not known before its end: what is spared is spared all the same.
                if _free(room) < _STEP:
                    raise _no_room(upload, room)
                asked += _STEP
            file.write(piece)
        if upload.size is not None and size != upload.size:
            raise _broken(upload, f"after {size} of {upload.size} bytes")
        file.seek(0)
    except OSError as error:
        file.close()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(upload, room) from error
        raise
    except BaseException:
        file.close()
        raise
    return Upload(file, upload.filename, size)


def _piece(upload: Upload) -> bytes:
    try:
        return upload.stream.read(_PIECE)
    except (OSError, EOFError, ValueError) as error:
        raise _broken(upload, f"({error or type(error).__name__})") from error


def _free(room: Room) -> int:
    return shutil.disk_usage(room.directory).free - SPARED


def _broken(upload: Upload, how: str) -> InvalidError:
    return InvalidError(f"{upload.filename} broke off {how}: nothing was done with it; try again")


def _too_large(upload: Upload, room: Room) -> TooLargeError:
    return TooLargeError(
        f"{upload.filename} has more than the {room.limit >> 20} MB that are allowed"
    )


def _no_room(upload: Upload, room: Room) -> TooLargeError:
    size = "it" if upload.size is None else f"its {(upload.size >> 20) + 1} MB"
    free = max(0, _free(room)) >> 20
    return TooLargeError(
        f"{upload.filename}: the machine that takes it has no room for {size}: {free} MB are free"
    )
