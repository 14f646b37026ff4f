"""Archives of kept directories: what each of some nodes keeps, one after the other in one file.

Each node packs a tar.gz.  Put behind each other they are one file again that ``tar -xzi`` reads.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, cast

from conpaas.errors import InvalidError
from conpaas.rpc import Job, Progress

_TOLD_EVERY = 500  #: files


@contextmanager
def opened(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Open such a file to be read once, from its beginning to its end.

    Raises:
        InvalidError: It is damaged; while it is read, too.
    """
    try:
        # Not tarfile's own gzip: that ends where the first archive does.
        with (
            gzip.GzipFile(fileobj=stream) as plain,
            tarfile.open(
                fileobj=cast("IO[bytes]", plain), mode="r|", ignore_zeros=True
            ) as archive,
        ):
            yield archive
    except (tarfile.TarError, EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidError(f"what was kept is damaged: {error}") from error


def look_through(stream: IO[bytes]) -> Job[str]:
    """Read such a file as a whole, and return in a sentence what is in it.

    Raises:
        InvalidError: It is damaged.
    """
    count, size = 0, 0
    tops: set[str] = set()
    yield Progress(0, "reading what was kept")
    with opened(stream) as archive:
        for member in archive:
            tops.add(PurePosixPath(member.name).parts[0])
            if not member.isreg():
                continue
            count, size = count + 1, size + member.size
            if count % _TOLD_EVERY == 0:
                yield Progress(50, f"reading what was kept: {count} files")
    if not count:
        return "no files"
    files = "1 file" if count == 1 else f"{count} files"
    return f"{files} in {', '.join(sorted(tops))}, {size} bytes"
