"""Archives that strangers made: look into them, unpack them, refuse those that mean harm.

Formats are told by content: tar, plain or packed with gzip, bzip2 or xz, and zip.  Nothing is ever
held in memory but one piece; nothing is written but below the target; what is refused is refused
with a sentence that names the member.
"""

from __future__ import annotations

import enum
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conpaas.features.code import tars, zips
from conpaas.features.code.members import (
    BadArchiveError,
    Kind,
    Limits,
    Member,
    Rules,
    TooBigError,
    shown,
)

__all__ = [
    "BadArchiveError",
    "Contents",
    "Format",
    "Limits",
    "TooBigError",
    "inspect",
    "top_directory",
    "unpack",
]


class Format(enum.StrEnum):
    """How an archive is written; the value is the usual end of its name."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"
    ZIP = "zip"


_MAGIC = (
    (b"\x1f\x8b", Format.TAR_GZ),
    (b"BZh", Format.TAR_BZ2),
    (b"\xfd7zXZ\0", Format.TAR_XZ),
    (b"PK\x03\x04", Format.ZIP),
    (b"PK\x05\x06", Format.ZIP),
)
#: What the end of a name says about the format; a name that ends otherwise says nothing.
_CLAIMS = {
    ".tar": Format.TAR,
    ".gz": Format.TAR_GZ,
    ".tgz": Format.TAR_GZ,
    ".bz2": Format.TAR_BZ2,
    ".tbz2": Format.TAR_BZ2,
    ".tbz": Format.TAR_BZ2,
    ".xz": Format.TAR_XZ,
    ".txz": Format.TAR_XZ,
    ".zip": Format.ZIP,
    ".war": Format.ZIP,
    ".jar": Format.ZIP,
}


@dataclass(frozen=True)
class Contents:
    """What is in an archive.

    ``size`` is that of all files, in bytes; ``top_directory`` is the one directory that
    everything lies in, if there is one and it is not stripped; ``names`` is what will lie at the
    top when it is unpacked.
    """

    format: Format
    members: int
    size: int
    top_directory: str | None
    names: tuple[str, ...] = ()


def inspect(archive: Path, limits: Limits, filename: str = "", *, strip: bool = False) -> Contents:
    """Read an archive to its end, and say what is in it.

    Args:
        archive: The file.
        limits: What it may hold at most.
        filename: What it is called, if that shall be compared with what it is.
        strip: It will be unpacked so.

    Raises:
        BadArchiveError: It is damaged, or a member means harm; TooBigError when it is a limit.
    """
    kind = _format(archive)
    claim = _CLAIMS.get(Path(filename).suffix.lower(), kind)
    if claim is not kind:
        raise BadArchiveError(
            f"{shown(filename)} is a {kind} archive, although its name says {claim}: rename it"
        )
    rules = Rules(limits, archive.stat().st_size)
    for _, pieces in _members(archive, kind, rules):
        for _ in pieces:
            pass
    rules.finish(strip=strip)
    names = tuple(rules.names(1 if strip else 0))
    top = None if strip else rules.top_directory()
    return Contents(kind, len(rules), rules.size, top, names)


def top_directory(archive: Path, limits: Limits) -> str | None:
    """Return the one directory that everything in the archive lies in, None if there is none."""
    return inspect(archive, limits).top_directory


def unpack(archive: Path, target: Path, limits: Limits, *, strip: bool = False) -> None:
    """Unpack an archive into a new directory, which appears at once and whole.

    Files get this process's owner, mode 755 where their owner may execute them and 644 elsewhere.
    What a crash left of an earlier attempt for the same target is removed: one at a time.

    Args:
        archive: The file.
        target: Must not exist; its parent must.
        limits: What it may hold at most.
        strip: Leave out the one directory that everything lies in.

    Raises:
        BadArchiveError: As :func:`inspect`; nothing is left behind.
        FileExistsError: There is something at ``target``.
    """
    if os.path.lexists(target):
        raise FileExistsError(f"{target} is there already")
    for left in target.parent.glob(f".{target.name}.unpacking-*"):
        shutil.rmtree(left)
    new = target.with_name(f".{target.name}.unpacking-{secrets.token_hex(4)}")
    new.mkdir(mode=0o700)
    try:
        rules = Rules(limits, archive.stat().st_size)
        # Links come last: as long as files are written there is none to write through.
        links = []
        for member, pieces in _members(archive, _format(archive), rules):
            if member.kind in (Kind.SYMLINK, Kind.HARDLINK):
                links.append(member)
            else:
                _write(new, member, pieces)
        rules.finish(strip=strip)
        for member in links:
            _link(new, member)
        top = rules.top_directory() if strip else None
        tree = new if top is None else new / top
        tree.chmod(0o755)
        tree.rename(target)
        if tree is not new:
            new.rmdir()
    except BaseException:
        shutil.rmtree(new)
        raise


def _format(archive: Path) -> Format:
    with archive.open("rb") as file:
        head = file.read(512)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if tars.looks_like(head):
        return Format.TAR
    raise BadArchiveError(
        "it is no archive: tar, tar.gz, tar.bz2, tar.xz and zip are taken"
        if head
        else "the file is empty"
    )


def _members(
    archive: Path, kind: Format, rules: Rules
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    read = zips.members if kind is Format.ZIP else tars.members
    with archive.open("rb") as file:
        for member, pieces in read(file, kind.rpartition(".")[2], rules):
            checked = rules.admit(member)
            if checked is not None:
                yield checked, rules.counted(pieces)


def _write(root: Path, member: Member, pieces: Iterator[bytes]) -> None:
    path = root / member.name
    if member.kind is Kind.DIRECTORY:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
        os.fchmod(file.fileno(), 0o755 if member.mode & 0o100 else 0o644)
    # All machines that unpack it shall agree on a file's time: web servers tell it to browsers.
    os.utime(path, (member.time, member.time))


def _link(root: Path, member: Member) -> None:
    path = root / member.name
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if member.kind is Kind.SYMLINK:
        path.symlink_to(member.target)
    else:
        os.link(root / member.target, path)
