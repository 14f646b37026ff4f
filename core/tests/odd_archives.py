"""Archives in the making: members one by one, as people would not write them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.features.code.archives import BadArchiveError, Limits, inspect, unpack

LIMITS = Limits(unpacked=20 << 20, members=1000)


def file(name: str, content: bytes = b"hello", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def other(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    return file(name, b"", type=kind, linkname=target)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipped(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return packed.getvalue()


def zip_link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


Save = Callable[[bytes], Path]


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def refused(save: Save, content: bytes, limits: Limits = LIMITS) -> str:
    """Return why; both looking and unpacking must refuse, and leave nothing."""
    archive = save(content)
    with pytest.raises(BadArchiveError) as looked:
        inspect(archive, limits)
    with pytest.raises(BadArchiveError) as unpacked:
        unpack(archive, archive.parent / "target", limits)
    assert str(looked.value) == str(unpacked.value)
    assert [path.name for path in archive.parent.iterdir()] == ["archive"]
    return str(looked.value)
