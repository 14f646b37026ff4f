"""Send and receive files in pieces, however large they are."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from email.utils import collapse_rfc2231_value

from conpaas.cli.failure import Failure, Unreachable
from conpaas.cli.progress import Meter
from conpaas.cli.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator
    from typing import Any, BinaryIO

_PIECE = 256 * 1024
#: Transfers below this size are over before a bar can be read, in bytes.
_WORTH_A_BAR = 4 * 1024 * 1024


class Counted:
    """A file that is read for an upload: exactly ``size`` bytes, and shown as it goes."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file, self._size, self._name, self._sent = file, size, name, 0
        self._meter = Meter() if size >= _WORTH_A_BAR and sys.stderr.isatty() else None

    def read(self, amount: int = -1) -> bytes:
        """Return the next piece."""
        left = self._size - self._sent
        piece = self._file.read(left if amount < 0 else min(amount, left))
        if left and not piece:
            raise Failure(f"{self._name} became shorter while it was sent")
        self._sent += len(piece)
        if self._meter is not None:
            self._meter.step(100 * self._sent // self._size, f"sending {self._name}")
            if not piece:
                self._meter.end()
        return piece


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[Counted, int, str]]:
    """Open a file for an upload: what to read from, its size and its name.

    Raises:
        Failure: There is no such file.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Failure(f"{path} is not a file")
            name = os.path.basename(path)
            yield Counted(file, found.st_size, visible(name)), found.st_size, name
    except IsADirectoryError:
        raise Failure(f"{path} is a directory") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None


def save(response: http.client.HTTPResponse, output: str | None, fallback: str) -> str:
    """Write a download to a file and return its name, ``-`` for stdout.

    It gets its name when it is whole; a file of that name is replaced.

    Args:
        response: Where it comes from.
        output: Where the user wants it, ``-`` for stdout.
        fallback: Its name if neither the user nor the director says one.

    Raises:
        Failure: It broke off, or cannot be written.
    """
    if output == "-":
        if sys.stdout.isatty():
            _show(response)
        else:
            for piece in _pieces(response):
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return output
    name = output or _offered(response) or fallback
    # The director's name is one of the current directory, whatever it begins with.
    scratch = f"{name if output else f'./{name}'}.part-{os.getpid()}"
    try:
        with open(scratch, "xb") as file:
            for piece in _pieces(response):
                file.write(piece)
        os.replace(scratch, name)
    except OSError as error:
        raise Failure(f"{name} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
    return name


def _show(response: http.client.HTTPResponse) -> None:
    """Write a download to a terminal: what could command the terminal is made visible."""
    from codecs import getincrementaldecoder

    decoder = getincrementaldecoder("utf-8")("replace")
    for piece in _pieces(response, shown=True):
        sys.stdout.write(visible(decoder.decode(piece), keep="\n\t"))
    sys.stdout.write(visible(decoder.decode(b"", True), keep="\n\t"))
    sys.stdout.flush()


def _pieces(response: http.client.HTTPResponse, *, shown: bool = False) -> Iterator[bytes]:
    from http.client import HTTPException

    told, got = response.getheader("Content-Length"), 0
    size = int(told or 0)
    worth = sys.stderr.isatty() and not shown and (told is None or size >= _WORTH_A_BAR)
    meter = Meter() if worth else None
    while True:
        try:
            piece = response.read(_PIECE)
        except (HTTPException, OSError) as error:
            _end(meter)
            raise Unreachable(_broken_off(got, str(error))) from None
        if not piece:
            break
        got += len(piece)
        if meter is not None and told is not None:
            meter.step(100 * got // size, f"receiving {got >> 20} of {size >> 20} MB")
        elif meter is not None and got >= _WORTH_A_BAR:
            meter.count(f"receiving: {got >> 20} MB so far")
        yield piece
    _end(meter)
    if got < size:
        raise Unreachable(_broken_off(got, f"it has {size} bytes"))


def _end(meter: Meter | None) -> None:
    if meter is not None:
        meter.end()


def _broken_off(got: int, why: str) -> str:
    return f"the file broke off after {got} bytes ({why}); the log of the service may say why"


def _offered(response: http.client.HTTPResponse) -> str:
    """Return the file name that the director gives, without any directory."""
    parameters: Any = response.headers.get_params([], "content-disposition")
    names = [value for key, value in parameters if key.lower() == "filename"]
    if not names:
        return ""
    # An extended name (filename*=) comes last, and is the better one.
    name = collapse_rfc2231_value(names[-1]).replace("\\", "/").rpartition("/")[2]
    # A name that begins with a dot could be one that a program obeys, such as .bashrc.
    return "".join(c for c in name if c.isprintable()).lstrip(".")
