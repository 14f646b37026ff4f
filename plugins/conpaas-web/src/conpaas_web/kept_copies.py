"""What nodes keep when versions change, brought from one to others by way of the manager."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO, cast

from conpaas.rpc import Job, Progress, Upload
from conpaas_web.agent import WebAgent


def copy_kept(
    source: WebAgent, targets: Sequence[WebAgent], *, replace: bool = False
) -> Job[None]:
    """Bring what a node keeps to others.

    Args:
        source: Who has it.
        targets: Who gets it.
        replace: Nothing that they keep stays; else of the same file the younger one does.
    """
    for index, target in enumerate(targets):
        yield Progress(100 * index // len(targets), "copying the kept directories")
        packed = source.pack_kept()
        stream = cast("IO[bytes]", io.BufferedReader(_Pieces(packed.pieces), 1 << 16))
        target.unpack_kept(archive=Upload(stream, "kept.tar.gz", packed.size), replace=replace)


class _Pieces(io.RawIOBase):
    """A file that holds what an iterator gives."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader gives
        """Put in as much of the next piece as there is room for; 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
