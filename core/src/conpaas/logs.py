"""Reading the end of a log, and going on reading it."""

from __future__ import annotations

import glob
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import msgspec

from conpaas.errors import InvalidError
from conpaas.rpc import Piece
from conpaas.schema import Option

MAX_BYTES = 4 << 20  #: more than this is never returned at once
PIECE_BYTES = 256 << 10  #: of a piece of a log that is followed
_WITNESS = 64  #: bytes before a place by which it is known again
_PLACE = re.compile(r"([0-9]{1,20})-([0-9]{1,19})-([0-9a-f]{1,8})")


Lines = Annotated[
    int, "How many lines from its end", Option(short="-n"), msgspec.Meta(ge=1, le=100_000)
]
After = Annotated[
    Annotated[str, msgspec.Meta(max_length=100)] | None,
    "What the piece before said; none for the first",
]


def tail(path: Path, lines: int) -> str:
    """Return the last ``lines`` lines of a text file; empty when there is no such file.

    A symbolic link is not followed: what is behind it is not the log.
    """
    if lines < 1 or not _is_log(path):
        return ""
    with path.open("rb") as file:
        return b"".join(_last_lines(file, lines)).decode("utf-8", "replace")


def follow(path: Path, lines: int, after: str | None) -> Piece:
    """Return what a log has grown by, at most :data:`PIECE_BYTES`.

    It is found again when it was rotated (renamed, and begun anew: first the rest of the old file
    is returned) and when it was truncated (it is read from its beginning).

    Args:
        path: Of the log; a symbolic link is not followed.
        lines: How many lines from its end make the first piece.
        after: What the piece before said; None asks for the first.

    Raises:
        InvalidError: ``after`` comes from no piece.
    """
    if after is None:
        return _first(path, lines)
    if after == "":  # there was no file
        return _read_on(path, 0) if _is_log(path) else Piece("", "")
    if (found := _PLACE.fullmatch(after)) is None:
        raise InvalidError("after: this is not what a piece of a log said")
    inode, offset, witness = int(found[1]), int(found[2]), int(found[3], 16)
    old = _find(path, inode)
    if old is None:
        # Its file was thrown away before all of it was read.
        return _read_on(path, 0) if _is_log(path) else Piece("", "")
    with _opened(old) as file:
        if _witness(file, offset) != witness:
            offset = 0
    piece = _read_on(old, offset)
    if old == path or piece.text:
        return piece
    # All of it has been read: on with the file that was begun after it.
    return _read_on(_next(path, old), 0)


def _first(path: Path, lines: int) -> Piece:
    if not _is_log(path):
        return Piece("", "")
    with _opened(path) as file:
        end = file.seek(0, os.SEEK_END)
        text = _complete(b"".join(_last_lines(file, lines)))
        return Piece(text.decode("utf-8", "replace"), _place(file, end - _held_back(file, end)))


def _read_on(path: Path, offset: int) -> Piece:
    with _opened(path) as file:
        file.seek(offset)
        content = _complete(file.read(PIECE_BYTES))
        return Piece(content.decode("utf-8", "replace"), _place(file, offset + len(content)))


def _last_lines(file: IO[bytes], lines: int) -> list[bytes]:
    size = file.seek(0, os.SEEK_END)
    block = b""
    while size > 0 and block.count(b"\n") <= lines and len(block) < MAX_BYTES:
        step = min(65536, size)
        size = file.seek(size - step)
        block = file.read(step) + block
    return block.splitlines(keepends=True)[-lines:]


def _complete(content: bytes) -> bytes:
    """Return what does not end within a character: the rest of that has yet to be written."""
    for back in range(1, min(4, len(content) + 1)):
        byte = content[-back]
        if byte >= 0xC0:  # the first of several
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return content[:-back] if back < length else content
        if byte < 0x80:
            break
    return content


def _held_back(file: IO[bytes], end: int) -> int:
    file.seek(max(0, end - 4))
    last = file.read(min(4, end))
    return len(last) - len(_complete(last))


def _place(file: IO[bytes], offset: int) -> str:
    return f"{os.fstat(file.fileno()).st_ino}-{offset}-{_witness(file, offset):x}"


def _witness(file: IO[bytes], offset: int) -> int:
    """Return a sum of what stands before a place: other text there means another log."""
    file.seek(max(0, offset - _WITNESS))
    return zlib.crc32(file.read(min(offset, _WITNESS)), offset & 0xFFFFFFFF)


def _find(path: Path, inode: int) -> Path | None:
    """Return the file of that number: the log, or what rotation has made of it."""
    for candidate in [path, *_siblings(path)]:
        if _is_log(candidate) and candidate.stat().st_ino == inode:
            return candidate
    return None


def _next(path: Path, old: Path) -> Path:
    ended = old.stat().st_mtime_ns
    later = [p for p in _siblings(path) if _is_log(p) and p.stat().st_mtime_ns > ended]
    return min(later, key=lambda p: p.stat().st_mtime_ns, default=path if _is_log(path) else old)


def _siblings(path: Path) -> list[Path]:
    # s6-log calls its old files @time.s or .u, Python's handlers <log>.1 and so on.
    return [*path.parent.glob(f"{glob.escape(path.name)}.*"), *path.parent.glob("@*")]


def _is_log(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        yield file
