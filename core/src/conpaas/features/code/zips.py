"""Zip archives."""

from __future__ import annotations

import calendar
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from conpaas.features.code.members import BadArchiveError, Kind, Member, Rules, reading, shown

_PIECE = 1 << 16
_LONGEST_TARGET = 4096  #: of a symbolic link
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ENCRYPTED = 0x1


def members(
    file: BinaryIO, packing: str, rules: Rules
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Go through the members of a zip; each one's pieces must be used before the next.

    Args:
        file: The archive.
        packing: Always ``zip``: each member is packed in its own way.
        rules: Judge how many there are.

    Raises:
        BadArchiveError: It is damaged or cut off.
    """
    with reading("its directory"):
        _count(file, rules)
        archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        with reading(shown(info.orig_filename)):
            member = _member(archive, info)
        yield member, _pieces(archive, info) if member.kind is Kind.FILE else iter(())


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = shown(info.orig_filename)
    mode = info.external_attr >> 16
    if "\\" in info.orig_filename:
        raise BadArchiveError(f"{name} has a backslash in its name: zip names have slashes")
    if "\0" in info.orig_filename:
        raise BadArchiveError(f"{name} has a zero byte in its name")
    if info.flag_bits & _ENCRYPTED:
        raise BadArchiveError(f"{name} is encrypted")
    if info.compress_type not in _METHODS:
        raise BadArchiveError(f"{name} is packed in a way that is not taken: use plain zip")
    kind, target = Kind.FILE, ""
    if info.is_dir():
        kind = Kind.DIRECTORY
    elif stat.S_ISLNK(mode):
        kind, target = Kind.SYMLINK, _target(archive, info)
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BadArchiveError(f"{name} is neither file, directory nor link (but a device or so)")
    return Member(
        info.orig_filename,
        kind,
        mode,
        info.file_size if kind is Kind.FILE else 0,
        target,
        _seconds(info),
    )


def _target(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if info.file_size > _LONGEST_TARGET:
        raise BadArchiveError(f"{shown(info.orig_filename)} is a link that leads too far")
    with archive.open(info) as file:
        return file.read(_LONGEST_TARGET).decode("utf-8", "surrogateescape")


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    piece = b"?"
    with reading(shown(info.orig_filename)):
        file = archive.open(info)
    while piece:
        with reading(shown(info.orig_filename)):
            piece = file.read(_PIECE)
        yield piece


def _seconds(info: zipfile.ZipInfo) -> float:
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except (ValueError, OverflowError):
        return 0.0


def _count(file: BinaryIO, rules: Rules) -> None:
    """Count the entries of the directory: zipfile would make an object of each at once."""
    end = file.seek(0, 2)
    tail_at = max(0, end - (1 << 16) - 22)
    file.seek(tail_at)
    tail = file.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0:
        raise BadArchiveError("it is cut off: the directory at its end is missing")
    (size,) = struct.unpack_from("<L", tail, found + 12)
    directory_end = tail_at + found
    locator = directory_end - 20
    if locator >= 0:
        file.seek(locator)
        if file.read(4) == b"PK\x06\x07":  # of an archive that is too big for the old record
            file.seek(locator - 56)
            record = file.read(56)
            if record[:4] != b"PK\x06\x06":
                raise BadArchiveError("it is damaged: its directory is not where it should be")
            (size,) = struct.unpack_from("<Q", record, 40)
            directory_end = locator - 56
    position, count = directory_end - size, 0
    while 0 <= position < directory_end:
        file.seek(position)
        entry = file.read(46)
        if entry[:4] != b"PK\x01\x02":
            raise BadArchiveError("it is damaged: its directory is broken")
        count += 1
        rules.expect_members(count)
        position += 46 + sum(struct.unpack_from("<3H", entry, 28))
    file.seek(0)
