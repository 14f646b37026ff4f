"""A dump as a file: SQL, or that compressed by gzip, read in pieces and judged as a whole."""

from __future__ import annotations

import gzip
import re
import shlex
import zlib
from collections.abc import Iterator
from typing import IO

from conpaas.errors import InvalidError, TooLargeError
from conpaas.rpc import Job, Progress, Upload
from conpaas_mysql.dumping import SYSTEM_DATABASES
from conpaas_mysql.parts import USER

_PIECE = 1 << 17
_GZIP = b"\x1f\x8b"
#: How other files begin that people have at hand.
_OTHERS = (
    (b"\xfd7zXZ\x00", "is compressed by xz: unpack it first (unxz), or compress it by gzip"),
    (b"BZh", "is compressed by bzip2: unpack it first (bunzip2), or compress it by gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it first, or compress it by gzip"),
    (b"PK\x03\x04", "is a zip archive: unpack it first, and load the SQL files in it"),
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8, and try again"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8, and try again"),
    (b"PGDMP", "is a dump of PostgreSQL"),
    (b"SQLite format 3", "is a database of SQLite"),
)
_NO_SQL = "is no SQL text: its beginning has bytes that no text has"
_SERVER_DATABASE = re.compile(
    rb"(?i)\n[ \t]*USE[ \t]+`?(" + b"|".join(n.encode() for n in SYSTEM_DATABASES) + rb")`?[ \t]*;"
)
_DUMP = re.compile(rb"(?m)^-- (MariaDB|MySQL) dump ")
_LAST_LINE = b"-- Dump completed"


class DumpFile:
    """A dump that has arrived.

    Args:
        upload: Its stream can be sought in.
        limit: Bytes that it may have when it is unpacked.
    """

    def __init__(self, upload: Upload, limit: int) -> None:
        self.name = upload.filename
        self._stream: IO[bytes] = upload.stream
        self._size = upload.size or 0
        self._limit = limit
        self._stream.seek(0)
        self.is_compressed = self._stream.read(2) == _GZIP

    @property
    def percent(self) -> int:
        """How much of the file has been read by now."""
        return 100 * min(self._stream.tell(), self._size) // max(self._size, 1)

    def pieces(self) -> Iterator[bytes]:
        """Return the SQL from its beginning.

        Raises:
            InvalidError: It is compressed, and broken.
            TooLargeError: It is more than it may be.
        """
        self._stream.seek(0)
        plain = gzip.GzipFile(fileobj=self._stream) if self.is_compressed else self._stream
        size = 0
        try:
            while piece := plain.read(_PIECE):
                size += len(piece)
                if size > self._limit:
                    raise self.too_large("when it is unpacked")
                yield piece
        except EOFError:
            raise InvalidError(f"{self.name} is cut off: it was not copied as a whole") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InvalidError(f"{self.name} is damaged: {error}") from None

    def too_large(self, when: str = "", client: str = "") -> TooLargeError:
        """Return the error that tells of the limit, and how it is loaded all the same.

        Args:
            when: It is too large; empty: as it is.
            client: The command of a client of the database; empty: where nobody knows the address.
        """
        unknown = "" if client else "; get_address tells HOST and PORT"
        client = client or f"mysql -h HOST -P PORT -u {USER} -p"
        name = shlex.quote(self.name)
        loading = f"gunzip < {name} | {client}" if self.is_compressed else f"{client} < {name}"
        return TooLargeError(
            f"{self.name} has more than the {self._limit >> 20} MB that are allowed"
            f"{f', {when}' if when else ''}: set another limit (set_mysql_config --dump_limit), "
            f"load it in parts, or have a client load it ({loading}{unknown})"
        )

    def check_beginning(self) -> None:
        """Judge what can be judged at a glance.

        Raises:
            InvalidError: It is no SQL, or none that could be read.
        """
        head = next(self.pieces(), b"")
        if not head:
            raise InvalidError(f"{self.name} is empty")
        for magic, told in _OTHERS:
            if head.startswith(magic):
                raise InvalidError(f"{self.name} {told}")
        if head[257:262] == b"ustar":
            raise InvalidError(
                f"{self.name} is a tar archive: unpack it first, and load the SQL files in it"
            )
        if b"\0" in head:
            raise InvalidError(f"{self.name} {_NO_SQL}")

    def check(self) -> Job[int]:
        """Judge the whole file, before any of it is carried out; return its size unpacked.

        Raises:
            InvalidError: It is empty, damaged or cut off, or is about the server's own databases.
            TooLargeError: It is more than it may be.
        """
        self.check_beginning()
        end, size, is_blank, is_dump = b"\n", 0, True, False
        for piece in self.pieces():
            size += len(piece)
            is_blank = is_blank and not piece.strip()
            is_dump = is_dump or (size <= _PIECE and _DUMP.search(piece) is not None)
            if found := _SERVER_DATABASE.search(end + piece):
                raise InvalidError(
                    f"{self.name} has the server's own database {found[1].decode()!r} in it, "
                    "which the service looks after itself: make the dump without it (mariadb-dump "
                    "--databases and the names of yours)"
                )
            end = (end + piece)[-200:]
            yield Progress(self.percent, f"looking at {self.name}")
        if is_blank:
            raise InvalidError(f"{self.name} is empty")
        if is_dump and _LAST_LINE not in end:
            raise InvalidError(
                f"{self.name} is cut off: its last line is not {_LAST_LINE.decode()!r}"
            )
        return size
