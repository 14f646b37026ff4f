"""Whatever an archive holds: nothing is written outside, nothing beyond the limits."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from conpaas.features.code.archives import BadArchiveError, Limits, inspect, unpack

LIMITS = Limits(unpacked=3000, members=8, path=60, depth=4)

parts = st.sampled_from(["a", "b", "c", "..", ".", "", "d\\e", "C:", "\udcff", "x" * 50])
names = st.lists(parts, min_size=1, max_size=6).map("/".join)
kinds = st.sampled_from(
    [
        tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
        tarfile.FIFOTYPE, tarfile.CHRTYPE,
    ]
)  # fmt: skip


@st.composite
def members(draw: st.DrawFn) -> tarfile.TarInfo:
    info = tarfile.TarInfo(draw(names))
    info.type = draw(kinds)
    info.linkname = draw(names)
    info.mode = draw(st.integers(0, 0o7777))
    info.mtime = draw(st.integers(0, 1 << 33))
    if info.type == tarfile.REGTYPE:
        info.size = draw(st.integers(0, 2000))
    return info


def packed(infos: list[tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def judge(content: bytes) -> None:
    """Unpack in a directory of its own and look at everything around it."""
    with tempfile.TemporaryDirectory() as around:
        root = Path(around).resolve()
        archive, target = root / "archive", root / "in" / "target"
        target.parent.mkdir()
        archive.write_bytes(content)
        try:
            inspect(archive, LIMITS)
            fine = True
        except BadArchiveError:
            fine = False
        try:
            unpack(archive, target, LIMITS)
            assert fine
        except BadArchiveError:
            assert not fine
        assert sorted(os.listdir(root)) == ["archive", "in"]
        assert os.listdir(root / "in") == (["target"] if fine else [])
        if not fine:
            return
        found = list(target.rglob("*"))
        assert len(found) <= LIMITS.members
        assert sum(p.stat().st_size for p in found if p.is_file()) <= LIMITS.unpacked * 8
        for path in found:
            assert path.resolve().is_relative_to(target)
            assert path.is_file() or path.is_dir() or path.is_symlink()
            assert path.lstat().st_mode & 0o7022 == 0 or path.is_symlink()


@settings(max_examples=150, deadline=None)
@given(st.lists(members(), max_size=8), st.booleans())
def test_tars_of_anything(infos: list[tarfile.TarInfo], squeeze: bool) -> None:
    content = packed(infos)
    judge(gzip.compress(content) if squeeze else content)


@settings(max_examples=100, deadline=None)
@given(st.lists(members(), max_size=8))
def test_what_is_taken_the_standard_library_takes_too(infos: list[tarfile.TarInfo]) -> None:
    with tempfile.TemporaryDirectory() as around:
        archive = Path(around) / "archive"
        archive.write_bytes(packed(infos))
        try:
            unpack(archive, Path(around) / "ours", LIMITS)
        except BadArchiveError:
            return
        with tarfile.open(archive) as tar:
            tar.extractall(Path(around) / "theirs", filter="data")
        ours = {p.relative_to(Path(around) / "ours") for p in (Path(around) / "ours").rglob("*")}
        base = Path(around) / "theirs"
        assert ours == {p.relative_to(base) for p in base.rglob("*")}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(names, st.integers(0, 0xFFFF), st.binary(max_size=1000)), max_size=8))
def test_zips_of_anything(entries: list[tuple[str, int, bytes]]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, mode, content) in enumerate(entries):
            info = zipfile.ZipInfo(name.replace("\udcff", "ÿ") or f"empty{number}")
            info.external_attr = mode << 16
            try:
                archive.writestr(info, content)
            except (UserWarning, ValueError):  # a name that is there twice
                return
    judge(out.getvalue())


SEEDS = [
    packed([tarfile.TarInfo("a/b"), tarfile.TarInfo("c")]),
    gzip.compress(packed([tarfile.TarInfo("a/b")])),
]


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1600), st.integers(0, 255)), max_size=12),
)
def test_archives_with_any_bytes_changed(seed: bytes, changes: list[tuple[int, int]]) -> None:
    content = bytearray(seed)
    for position, value in changes:
        content[position % len(content)] = value
    judge(bytes(content))
