"""Archives as people make them, and as those make them who mean harm."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from odd_archives import LIMITS, Save, file, other, refused, tar, tree, zipped

from conpaas.features.code.archives import BadArchiveError, Format, inspect, top_directory, unpack

# -- what people make -----------------------------------------------------------------------------

GOOD = tar(file("init.sh", b"echo hi\n", mode=0o755), file("etc/app.conf", b"x" * 1000))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (GOOD, Format.TAR),
        (gzip.compress(GOOD), Format.TAR_GZ),
        (bz2.compress(GOOD), Format.TAR_BZ2),
        (lzma.compress(GOOD), Format.TAR_XZ),
        (zipped(("init.sh", b"echo hi\n"), ("etc/app.conf", b"x" * 1000)), Format.ZIP),
    ],
)
def test_every_format_is_told_by_content_and_unpacks_the_same(
    save: Save, tmp_path: Path, content: bytes, kind: Format
) -> None:
    archive = save(content)
    found = inspect(archive, LIMITS)
    assert (found.format, found.members, found.size) == (kind, 3, 1008)
    unpack(archive, tmp_path / "target", LIMITS)
    assert tree(tmp_path / "target") == {"init.sh": b"echo hi\n", "etc/app.conf": b"x" * 1000}


@pytest.mark.parametrize("option", ["c", "cz", "cj", "cJ"])
@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_what_the_real_tar_makes_is_taken(tmp_path: Path, option: str, form: str) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / ("n" * 90)).write_bytes(os.urandom(70_000))
    (source / "run.sh").write_text("true")
    (source / "run.sh").chmod(0o750)
    (source / "link").symlink_to("deep/er")
    os.link(source / "run.sh", source / "same.sh")
    archive = tmp_path / "archive"
    subprocess.run(
        ["tar", f"-{option}f", archive, f"--format={form}", "-C", source, "."], check=True
    )
    unpack(archive, tmp_path / "target", LIMITS)
    assert tree(tmp_path / "target") == tree(source)
    assert (tmp_path / "target" / "link").readlink() == Path("deep/er")
    assert (tmp_path / "target" / "same.sh").samefile(tmp_path / "target" / "run.sh")
    assert stat.S_IMODE((tmp_path / "target" / "run.sh").stat().st_mode) == 0o755


def test_what_the_real_zip_makes_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "run.sh").write_text("true")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("run.sh")
    subprocess.run(["zip", "-qry", "../archive.zip", "."], cwd=source, check=True)
    unpack(tmp_path / "archive.zip", tmp_path / "target", LIMITS)
    assert tree(tmp_path / "target") == {"run.sh": b"true"}
    assert (tmp_path / "target" / "link").readlink() == Path("run.sh")
    assert (tmp_path / "target" / "run.sh").stat().st_mode & 0o100


def test_modes_are_sane_and_times_are_kept(save: Save, tmp_path: Path) -> None:
    archive = save(
        tar(
            file("a", mode=0o777, mtime=1_000_000_000),
            file("b", mode=0o000, mtime=-5),
            file("c", mode=0o400, mtime=1 << 40),
        )
    )
    unpack(archive, tmp_path / "target", LIMITS)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "target").iterdir()}
    assert modes == {"a": 0o755, "b": 0o644, "c": 0o644}
    assert (tmp_path / "target" / "a").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize(
    ("names", "top"),
    [
        (["app/a", "app/b/c"], "app"),
        (["./app/a"], "app"),
        (["app/a", "README"], None),
        (["a"], None),
    ],
)
def test_one_directory_that_holds_everything_is_noticed(
    save: Save, names: list[str], top: str | None
) -> None:
    assert top_directory(save(tar(*[file(name) for name in names])), LIMITS) == top


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_the_one_directory_is_stripped_from_every_format(
    tmp_path: Path, save: Save, form: str
) -> None:
    if form == "zip":
        content = zipped(("app/a", b"hello"), ("app/b/c", b"hello"))
    else:
        content = tar(file("./app/a"), file("app/b/c"), other("app/d", tarfile.SYMTYPE, "b/c"))
        pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress}
        content = pack.get(form, lzma.compress)(content)
    archive = save(content)
    assert inspect(archive, LIMITS, strip=True).names[:2] == ("a", "b")
    unpack(archive, tmp_path / "target", LIMITS, strip=True)
    assert (tmp_path / "target/a").read_bytes() == b"hello"
    assert (tmp_path / "target/b/c").read_bytes() == b"hello"
    if form != "zip":
        assert (tmp_path / "target/d").read_bytes() == b"hello"
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o755
    assert not list(tmp_path.glob(".target*"))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([file("a")], "at its top is a, which is a file"),
        ([file("app/a"), file("b")], "at its top are app, b$"),
        ([file(name) for name in ("a/x", "b/x", "c/x", "d/x", "e/x")], "a, b, c and 2 more"),
        ([other("app", tarfile.DIRTYPE)], "nothing in the directory"),
        ([file("app/a"), other("app/l", tarfile.SYMTYPE, "../app/a")], "directory that is strip"),
        (
            [
                other("app/d", tarfile.DIRTYPE),
                other("app/d/up", tarfile.SYMTYPE, ".."),
                other("app/l", tarfile.SYMTYPE, "d/up/../a"),
            ],
            "app/l is a link that leaves the directory",
        ),
    ],
)
def test_what_cannot_be_stripped_is_told(
    tmp_path: Path, save: Save, members: list[tuple[tarfile.TarInfo, bytes]], why: str
) -> None:
    archive = save(tar(*members))
    for read in (
        lambda: inspect(archive, LIMITS, strip=True),
        lambda: unpack(archive, tmp_path / "target", LIMITS, strip=True),
    ):
        with pytest.raises(BadArchiveError, match=why):
            read()
    assert not list(tmp_path.glob("*target*"))


def test_a_directory_may_be_named_twice(save: Save, tmp_path: Path) -> None:
    twice = [other("d", tarfile.DIRTYPE), file("d/a"), other("d/", tarfile.DIRTYPE)]
    unpack(save(tar(*twice)), tmp_path / "target", LIMITS)
    assert tree(tmp_path / "target") == {"d/a": b"hello"}


def test_what_a_crash_left_of_an_earlier_attempt_goes(save: Save, tmp_path: Path) -> None:
    (tmp_path / ".target.unpacking-12345678" / "half").mkdir(parents=True)
    unpack(save(GOOD), tmp_path / "target", LIMITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "target"]


def test_an_existing_target_is_left_alone(save: Save, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(FileExistsError):
        unpack(save(GOOD), tmp_path / "target", LIMITS)
    assert list((tmp_path / "target").iterdir()) == []


# -- names that lie -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["code.zip", "CODE.ZIP", "code.tar", "code.tar.gz", "app.war"])
def test_a_name_that_claims_another_format_is_told(save: Save, name: str) -> None:
    with pytest.raises(BadArchiveError, match=r"is a tar\.bz2 archive, although its name says"):
        inspect(save(bz2.compress(GOOD)), LIMITS, name)


@pytest.mark.parametrize("name", ["code.tar.bz2", "code.tbz2", "code", "", "code-1.2"])
def test_a_name_that_fits_or_says_nothing_is_fine(save: Save, name: str) -> None:
    assert inspect(save(bz2.compress(GOOD)), LIMITS, name).format is Format.TAR_BZ2


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<?php echo 1;" * 100, b"\x7fELF" + bytes(1000), b"PK"]
)
def test_what_is_no_archive_is_told(save: Save, content: bytes) -> None:
    assert "it is no archive" in refused(save, content) or not content


def test_something_else_in_gzip_is_told(save: Save) -> None:
    assert "damaged or cut off at its beginning" in refused(save, gzip.compress(b"hello" * 1000))


@pytest.mark.parametrize("content", [tar(), zipped(), tar(other(".", tarfile.DIRTYPE))])
def test_an_archive_of_nothing_is_told(save: Save, content: bytes) -> None:
    assert refused(save, content) == "there is nothing in it"


# -- things that are no files ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_fifos_are_refused(save: Save, kind: bytes) -> None:
    assert "dev/x is neither file" in refused(save, tar(other("dev/x", kind)))


def test_devices_in_a_zip_are_refused(save: Save) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFCHR | 0o666) << 16
    assert "x is neither file" in refused(save, zipped((info, b"")))


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_files_that_run_as_another_user_are_refused(save: Save, mode: int) -> None:
    assert "bin/su would run as another user" in refused(save, tar(file("bin/su", mode=mode)))
    info = zipfile.ZipInfo("bin/su")
    info.external_attr = (stat.S_IFREG | mode) << 16
    assert "bin/su would run as another user" in refused(save, zipped((info, b"")))


def test_sparse_files_are_refused(tmp_path: Path, save: Save) -> None:
    with (tmp_path / "holes").open("wb") as holes:
        holes.truncate(1 << 40)
    made = subprocess.run(
        ["tar", "-Sc", "-C", tmp_path, "holes"], check=True, capture_output=True
    ).stdout
    (tmp_path / "holes").unlink()
    assert len(made) < 20_000
    assert refused(save, made).startswith("holes is a sparse file")


def test_duplicates_are_refused(save: Save) -> None:
    assert refused(save, tar(file("a/b"), file("./a//b"))) == "./a//b is there twice"
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("a", b"1"), ("a", b"2"))
    assert refused(save, twice) == "a is there twice"


def test_names_that_differ_in_case_are_two_files(save: Save, tmp_path: Path) -> None:
    unpack(save(tar(file("a"), file("A"))), tmp_path / "target", LIMITS)
    assert sorted(tree(tmp_path / "target")) == ["A", "a"]
