"""What may be in an archive: the rules, whatever its format."""

from __future__ import annotations

import enum
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

#: How much an archive may hold whatever its own size: an empty tar packs well.
_FREE = 4 << 20
_MAX_NAME = 255  #: bytes of one part of a path that file systems take
_MAX_STEPS = 40  #: links that may lead to one another, as in Linux
_LAST_SECOND = 1 << 32  #: that every file system can note
#: What the standard library raises when it is given damaged archives.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)


class BadArchiveError(ValueError):
    """The archive is damaged or means harm; the text says what, and names the member."""


class TooBigError(BadArchiveError):
    """The archive is over a limit."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Args:
        unpacked: Bytes of all files together.
        members: Files, directories and links.
        ratio: Bytes unpacked for each byte of the archive.
        path: Bytes of a member's name.
        depth: Directories in one another.
    """

    unpacked: int = 1 << 30
    members: int = 100_000
    ratio: int = 250
    path: int = 1024
    depth: int = 40


class Kind(enum.Enum):
    """What a member is."""

    FILE = "a file"
    DIRECTORY = "a directory"
    SYMLINK = "a symbolic link"
    HARDLINK = "a hard link"


@dataclass(frozen=True)
class Member:
    """One thing in an archive; ``target`` is where a link leads, ``time`` seconds since 1970."""

    name: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    target: str = ""
    time: float = 0.0


def shown(name: str) -> str:
    """Return a name so that it can stand in a sentence."""
    text = name if len(name) <= 100 else f"{name[:60]}…{name[-30:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Tell damage that is found while ``what`` is read in words.

    Raises:
        BadArchiveError: Instead of what the standard library raised.
    """
    try:
        yield
    except BadArchiveError:
        raise
    except RecursionError:
        raise BadArchiveError(f"it is damaged at {what}: too many headers") from None
    except _DAMAGE as error:
        raise BadArchiveError(f"it is damaged or cut off at {what}: {error}") from None


class Rules:
    """Judges the members of one archive, in their order, and counts what they hold.

    Args:
        limits: What all of them may hold at most.
        packed: Size of the archive in bytes.
    """

    def __init__(self, limits: Limits, packed: int) -> None:
        self.limits = limits
        self.size = 0
        self._seen = 0
        #: Bytes that may be read out of the archive, whatever they turn out to be.
        self.allowed = min(limits.unpacked, max(_FREE, packed * limits.ratio))
        self._by_ratio = self.allowed < limits.unpacked
        self._kinds: dict[str, Kind] = {}
        self._links: dict[str, str] = {}

    def __len__(self) -> int:
        """Return how many members were admitted."""
        return len(self._kinds)

    def admit(self, member: Member) -> Member | None:
        """Return the member with its name in order, None for the root of the archive itself.

        Raises:
            BadArchiveError: It must not be unpacked.
        """
        self.expect_members(self._seen + 1)
        self._seen += 1
        name = shown(member.name)
        parts = self._parts(member.name, name)
        if member.kind is not Kind.DIRECTORY and member.name.rpartition("/")[2] in ("", "."):
            raise BadArchiveError(f"{name} is {member.kind.value} with the name of a directory")
        if member.size < 0:
            raise BadArchiveError(f"{name} has a negative size")
        if member.kind is Kind.FILE and member.mode & 0o6000:
            raise BadArchiveError(f"{name} would run as another user (setuid or setgid)")
        if not parts:
            return None
        if self.size + member.size > self.allowed:
            self._too_much(name)
        path = "/".join(parts)
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            kind = self._kinds.setdefault(above, Kind.DIRECTORY)
            if kind is not Kind.DIRECTORY:
                raise BadArchiveError(f"{name} lies below {shown(above)}, which is {kind.value}")
        there = self._kinds.get(path)
        if there is not None and not (there is member.kind is Kind.DIRECTORY):
            raise BadArchiveError(f"{name} is there twice")
        target = member.target
        if member.kind is Kind.HARDLINK:
            target = "/".join(self._parts(target, name))
            if self._kinds.get(target) is not Kind.FILE:
                raise BadArchiveError(
                    f"{name} is a hard link to {shown(member.target)}, which is no earlier file "
                    "of the archive"
                )
        if member.kind is Kind.SYMLINK:
            if not target or "\0" in target or target.startswith("/"):
                raise BadArchiveError(f"{name} is a link that leaves the archive")
            self._links[path] = target
        self._kinds[path] = member.kind
        self.expect_members(len(self))  # directories that are only named in paths count too
        time = member.time if 0 <= member.time <= _LAST_SECOND else 0.0
        return replace(member, name=path, target=target, time=time)

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the pieces of a file on, and stop when they become too many."""
        for piece in pieces:
            self.size += len(piece)
            if self.size > self.allowed:
                self._too_much("its contents")
            yield piece

    def expect_members(self, count: int) -> None:
        """Raise when so many members are too many."""
        if count > self.limits.members:
            raise TooBigError(f"it has more than {self.limits.members} members")

    def read(self, count: int) -> None:
        """Raise when so many bytes, with headers and padding, are too many."""
        # A tar has a header of 512 bytes for each member and as much padding.
        if count > self.allowed + self.limits.members * 1024 + _FREE:
            self._too_much("its contents")

    def finish(self, *, strip: bool = False) -> None:
        """Judge what can only be judged at the end: where the links lead.

        Args:
            strip: The one directory that everything lies in will be the root.
        """
        if not self._kinds:
            raise BadArchiveError("there is nothing in it")
        if strip and self.top_directory() is None:
            raise BadArchiveError(
                f"there is no one directory to strip that everything lies in: {self._tops_told()}"
            )
        if strip and not self.names(1):
            raise BadArchiveError("there is nothing in the directory that is stripped")
        for path in self._links:
            self._follow(path, 1 if strip else 0)

    def top_directory(self) -> str | None:
        """Return the one directory that everything lies in, if there is one."""
        (first, *others) = self.names(0)
        return first if not others and self._kinds[first] is Kind.DIRECTORY else None

    def names(self, depth: int) -> list[str]:
        """Return the names of what lies at a depth, sorted; 0 is the top."""
        parts = (path.split("/", depth + 1) for path in self._kinds)
        return sorted({found[depth] for found in parts if len(found) > depth})

    def _tops_told(self) -> str:
        tops = self.names(0)
        if len(tops) == 1:
            return f"at its top is {shown(tops[0])}, which is {self._kinds[tops[0]].value}"
        more = f" and {len(tops) - 3} more" if len(tops) > 3 else ""
        return f"at its top are {', '.join(shown(name) for name in tops[:3])}{more}"

    def _parts(self, path: str, name: str) -> list[str]:
        if not path or "\0" in path:
            raise BadArchiveError(f"a member has no proper name: '{name}'")
        if path.startswith("/") or re.match(r"[A-Za-z]:", path):
            raise BadArchiveError(f"{name} is an absolute path")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise BadArchiveError(f"{name} leads out of the archive ('..')")
        if len(_encoded(path)) > self.limits.path:
            raise TooBigError(f"{name} is longer than {self.limits.path} bytes")
        if any(len(_encoded(part)) > _MAX_NAME for part in parts):
            raise TooBigError(f"{name} has a part of more than {_MAX_NAME} bytes")
        if len(parts) > self.limits.depth:
            raise TooBigError(f"{name} lies deeper than {self.limits.depth} directories")
        return parts

    def _follow(self, path: str, floor: int) -> None:
        """Walk a link as the kernel would, in the tree as it will be.

        Args:
            path: Where the link is.
            floor: How deep the root lies that no link may leave.
        """
        at = path.split("/")[:-1]
        ahead = self._links[path].split("/")[::-1]
        steps = 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                if len(at) <= floor:
                    left = "the directory that is stripped" if floor else "the archive"
                    raise BadArchiveError(f"{shown(path)} is a link that leaves {left}")
                at.pop()
            elif part not in ("", "."):
                at.append(part)
            further = self._links.get("/".join(at))
            if further is not None:
                steps += 1
                if steps > _MAX_STEPS:
                    raise BadArchiveError(f"{shown(path)} is a link that leads to itself")
                at.pop()
                ahead += further.split("/")[::-1]

    def _too_much(self, what: str) -> None:
        if self._by_ratio:
            raise TooBigError(
                f"it unpacks to more than {self.limits.ratio} times its size, as only a bomb does"
            )
        raise TooBigError(
            f"with {what} it unpacks to more than the {self.limits.unpacked} bytes allowed"
        )


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
