"""Tar archives, plain or packed, read once from front to back."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from conpaas.features.code.members import BadArchiveError, Kind, Member, Rules, reading, shown

_PIECE = 1 << 16
_BLOCK = 512
#: Bytes of headers before one member: a name and times take one or two thousand.
_HEADERS = 1 << 20
_XZ_MEMORY = 80 << 20  #: what `xz -9` needs to unpack


def looks_like(head: bytes) -> bool:
    """Whether a file that begins so is a plain tar."""
    if len(head) == _BLOCK and not any(head):
        return True  # an empty one begins with its end
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def members(
    file: BinaryIO, packing: str, rules: Rules
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Go through the members of a tar; each one's pieces must be used before the next.

    Args:
        file: The archive.
        packing: ``tar`` (none), ``gz``, ``bz2`` or ``xz``.
        rules: Judge how much is read.

    Raises:
        BadArchiveError: It is damaged or cut off.
    """
    with reading("its beginning"):
        stream = _Stream(_unpacked(file, packing), rules)
        stream.headers_to_come()
        tar = tarfile.TarFile(fileobj=cast("io.RawIOBase", stream))
    name = "its beginning"
    while True:
        with reading(f"what follows {name}"):
            info = tar.next()
        if info is None:
            break
        name = shown(info.name)
        yield _member(info), _pieces(info, stream)
        stream.headers_to_come()
    with reading("its end"):
        stream.expect_end()


def _member(info: tarfile.TarInfo) -> Member:
    name = shown(info.name)
    if info.issparse():
        raise BadArchiveError(f"{name} is a sparse file: pack it without holes (tar without -S)")
    if info.isreg():
        kind = Kind.FILE
    elif info.isdir():
        kind = Kind.DIRECTORY
    elif info.issym():
        kind = Kind.SYMLINK
    elif info.islnk():
        kind = Kind.HARDLINK
    else:
        raise BadArchiveError(f"{name} is neither file, directory nor link (but a device or so)")
    size = info.size if kind is Kind.FILE or info.size < 0 else 0
    return Member(info.name, kind, info.mode, size, info.linkname, float(info.mtime))


def _pieces(info: tarfile.TarInfo, stream: _Stream) -> Iterator[bytes]:
    if not info.isreg():
        return
    stream.contents_to_come(info.size)
    left = info.size
    # Straight from the stream: that is where the member's contents begin.
    while left:
        with reading(shown(info.name)):
            piece = stream.read(min(left, _PIECE))
        if not piece:
            raise BadArchiveError(f"it is cut off in the middle of {shown(info.name)}")
        left -= len(piece)
        yield piece


def _unpacked(file: BinaryIO, packing: str) -> Iterator[bytes]:
    if packing == "xz":
        return _unpacked_xz(file)
    plain: BinaryIO = file
    if packing == "gz":
        plain = cast("BinaryIO", gzip.GzipFile(fileobj=file))
    elif packing == "bz2":
        plain = cast("BinaryIO", bz2.BZ2File(file))
    return iter(lambda: plain.read(_PIECE), b"")


def _unpacked_xz(file: BinaryIO) -> Iterator[bytes]:
    # Unlike lzma.LZMAFile, with a bound for the memory that the file asks for.
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    while not decompressor.eof:
        packed = file.read(_PIECE) if decompressor.needs_input else b""
        if decompressor.needs_input and not packed:
            raise EOFError("its end is missing")
        if piece := decompressor.decompress(packed, _PIECE):
            yield piece


class _Stream:
    """A file for tarfile that only goes forward and gives only as much as is due.

    tarfile holds a header in memory however long it says it is, and takes the end of a damaged
    archive for the end of the archive; both are judged here.
    """

    def __init__(self, pieces: Iterator[bytes], rules: Rules) -> None:
        self._pieces = pieces
        self._rules = rules
        self._rest = memoryview(b"")
        self._at = 0
        self._due = 0
        self._last_block = b""

    def headers_to_come(self) -> None:
        """Allow the headers of one more member to be read."""
        self._due = _HEADERS

    def contents_to_come(self, size: int) -> None:
        """Allow the contents of a file to be read."""
        self._due = size

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._at

    def seek(self, position: int) -> int:
        """Go forward to ``position``, or to the end if that is nearer."""
        if position < self._at:
            raise BadArchiveError("it is damaged: a member has a negative size")
        while self._at < position and self._take(min(position - self._at, _PIECE)):
            pass
        return self._at

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, fewer at the end only."""
        if size > self._due:
            raise BadArchiveError("it is damaged: a header is longer than any can be")
        self._due -= size
        taken = bytearray()
        while len(taken) < size and (piece := self._take(size - len(taken))):
            taken += piece
        if size == _BLOCK:
            self._last_block = bytes(taken)
        return bytes(taken)

    def expect_end(self) -> None:
        """Raise unless the last header was the mark of the end; read what follows it."""
        if len(self._last_block) != _BLOCK or any(self._last_block):
            raise BadArchiveError("it is cut off or damaged: the mark of its end is missing")
        while self._take(_PIECE):
            pass

    def _take(self, size: int) -> memoryview:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        self._at += len(piece)
        self._rules.read(self._at)
        return piece
