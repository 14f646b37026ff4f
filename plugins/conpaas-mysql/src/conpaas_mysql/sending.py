"""Sends a file to a node as a part of a job, which can be given up meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import IO, TypeVar, cast

from conpaas.beside import beside
from conpaas.rpc import Job, Progress, Upload

T = TypeVar("T")


def sent(file: Upload, send: Callable[[Upload], T]) -> Job[T]:
    """Send a file; given up, it breaks off, and the other side throws away what it has.

    Args:
        file: Read once.
        send: Sends it, and returns when it has arrived.
    """
    stream = _Watched(file)
    watched = Upload(cast("IO[bytes]", stream), file.filename, file.size)

    def work(given_up: threading.Event) -> T:
        stream.given_up = given_up
        return send(watched)

    def told() -> Progress:
        percent = 100 * stream.sent // max(file.size or 0, 1)
        return Progress(min(percent, 99), f"sending {file.filename}")

    return (yield from beside(work, told))


class _Watched(io.RawIOBase):
    def __init__(self, file: Upload) -> None:
        self._file = file.stream
        self.sent = 0
        self.given_up = threading.Event()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.given_up.is_set():
            raise OSError("the job was given up")
        piece = self._file.read(size)
        self.sent += len(piece)
        return piece
