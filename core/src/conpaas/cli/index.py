"""The command index: everything needed to parse, explain, call and print, kept from run to run.

It is kept for one interpreter with one path, in a file of its own.  It is believed while every
directory that Python looks for packages in (an installation changes them), and every source file
that took part in building it, is as it was.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conpaas.cli.shapes import Command, Entry

    Stamp = tuple[int, int] | None

#: Counts the shapes of the index that there have been.
FORMAT = 4
#: How old a file must be to be believed: a younger one may change within its time stamp, in ns.
_SETTLED = 50_000_000


class Index:
    """The objects that there are, and their commands."""

    def __init__(self, version: str, broken: dict[str, str], objects: dict[str, Entry]) -> None:
        self.version = version
        self.broken = broken
        self.objects = objects

    def commands(self, object_name: str) -> dict[str, Command]:
        """Return the commands of an object by name."""
        found: dict[str, Command] = marshal.loads(self.objects[object_name]["commands"])  # noqa: S302 - made here
        return found


def load(*, fresh: bool = False) -> Index:
    """Return the index: the one that is kept while it is true, else a new one."""
    place = (str(FORMAT), sys.version, sys.executable, *(p or os.getcwd() for p in sys.path))
    path = _file(place)
    if not fresh and path and (kept := _read(path, place)):
        return kept
    started = time.time_ns()
    directories = {directory: _stamp(directory) for directory in place[3:]}
    from conpaas.cli.build import build, sources

    built = build()
    stamps = directories | {source: _stamp(source) for source in sources()}
    settled = all(stamp is None or stamp[0] < started - _SETTLED for stamp in stamps.values())
    if path and settled:
        _write(path, marshal.dumps((place, tuple(stamps.items()), *built)))
    return Index(*built)


def _file(place: tuple[str, ...]) -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(cache):
        return ""
    number = crc32("\0".join(place).encode("utf-8", "surrogateescape"))
    return os.path.join(cache, "conpaas", f"commands-{number:08x}")


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: str, place: tuple[str, ...]) -> Index | None:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            kept = marshal.loads(file.read())  # noqa: S302 - our own file, checked above
        if kept[0] != place or any(_stamp(source) != stamp for source, stamp in kept[1]):
            return None
        return Index(*kept[2:])
    except (OSError, ValueError, EOFError, TypeError, IndexError):
        return None


def _write(path: str, content: bytes) -> None:
    scratch = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        os.replace(scratch, path)
    except OSError:
        # Without a place to keep it, the index is built every time.
        return
