"""Sends a file to a node as a part of a job, which can be given up meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import IO, Generic, TypeVar, cast

from conpaas.rpc import Job, Progress, Upload

T = TypeVar("T")
_PAUSE = 0.1  #: seconds between two looks at how far it is


class Sending(Generic[T]):
    """A file on its way.

    Args:
        file: Read once.
        send: Sends it, and returns when it has arrived.
    """

    def __init__(self, file: Upload, send: Callable[[Upload], T]) -> None:
        self._stream = _Watched(file)
        self._file = Upload(cast("IO[bytes]", self._stream), file.filename, file.size)
        self._send = send

    def run(self) -> Job[T]:
        """Send it; given up, it breaks off, and the other side throws away what it has."""
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(self._send, self._file)
            try:
                while not wait([sent], _PAUSE).done:
                    percent = 100 * self._stream.sent // max(self._file.size or 0, 1)
                    yield Progress(min(percent, 99), f"sending {self._file.filename}")
            finally:
                self._stream.given_up.set()
            return sent.result()


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
