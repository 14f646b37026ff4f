"""Files that are not there as a whole: pieces that come, read like a file."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def stream_of(pieces: Iterable[bytes]) -> IO[bytes]:
    """Return a file to be read once, which holds what the pieces hold."""
    return cast("IO[bytes]", io.BufferedReader(_Pieces(iter(pieces)), 1 << 16))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def close(self) -> None:
        if not self.closed and isinstance(self._pieces, Generator):
            self._pieces.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        there = memoryview(buffer).cast("B")
        count = min(len(there), len(self._left))
        there[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
