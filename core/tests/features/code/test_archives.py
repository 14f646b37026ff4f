"""Archives as people make them, and as those make them who mean harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import subprocess
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.features.code.archives import (
    BadArchiveError,
    Format,
    Limits,
    TooBigError,
    inspect,
    top_directory,
    unpack,
)

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


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(content: bytes) -> Path:
        path = tmp_path / "archive"
        path.write_bytes(content)
        return path

    return save


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


# -- names that leave -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil", r"../evil leads out of the archive ('..')"),
        ("a/../../evil", "a/../../evil leads out of the archive ('..')"),
        ("a/..", "a/.. leads out of the archive ('..')"),
        ("/etc/passwd", "/etc/passwd is an absolute path"),
        ("C:/evil", "C:/evil is an absolute path"),
        ("c:evil", "c:evil is an absolute path"),
    ],
)
def test_names_that_leave_are_refused(save: Save, name: str, why: str) -> None:
    assert refused(save, tar(file("good"), file(name))) == why
    assert refused(save, zipped(("good", b""), (name, b"x"))) == why


@pytest.mark.parametrize("name", ["a/.", ".", "./"])
def test_files_with_the_name_of_a_directory_are_refused(save: Save, name: str) -> None:
    assert refused(save, tar(other(name, tarfile.SYMTYPE, "x"))).endswith("name of a directory")


def test_backslashes_in_a_zip_are_refused(save: Save) -> None:
    assert "..\\evil has a backslash in its name" in refused(save, zipped(("..\\evil", b"")))


def test_a_zero_byte_in_a_name_is_refused(save: Save) -> None:
    hidden = zipped(("evil.txt!x.sh", b"")).replace(b"!x.sh", b"\0x.sh")
    assert "has a zero byte in its name" in refused(save, hidden)


def test_names_are_shown_so_that_they_can_stand_in_a_sentence(save: Save) -> None:
    assert refused(save, tar(file("../a\nb\x1b[31m"))).startswith("../a\\nb\\x1b[31m leads")
    refused(save, tar(file("../\udcff"))).encode()


# -- links ----------------------------------------------------------------------------------------


def both(*links: tuple[str, str]) -> list[bytes]:
    return [
        tar(file("dir/f"), *[other(name, tarfile.SYMTYPE, target) for name, target in links]),
        zipped(("dir/f", b""), *[zip_link(name, target) for name, target in links]),
    ]


@pytest.mark.parametrize(
    "links",
    [
        [("link", "/etc/passwd")],
        [("link", "../outside")],
        [("link", "..")],
        [("dir/link", "../../outside")],
        [("link", "dir/../../outside")],
        # Each is harmless when read as text; the kernel goes another way.
        [("dir/up", ".."), ("link", "dir/up/../outside")],
        [("dir/here", "."), ("link", "dir/here/here/../../..")],
    ],
)
def test_links_that_leave_are_refused(save: Save, links: list[tuple[str, str]]) -> None:
    for archive in both(*links):
        assert refused(save, archive) == f"{links[-1][0]} is a link that leaves the archive"


def test_links_that_stay_are_fine(save: Save, tmp_path: Path) -> None:
    links = [("link", "dir/f"), ("dir/up", ".."), ("far", "dir/up/dir/./up/link"), ("no", "later")]
    for number, archive in enumerate(both(*links)):
        target = tmp_path / str(number)
        unpack(save(archive), target, LIMITS)
        assert (target / "far").resolve() == target / "dir" / "f"


def test_links_that_lead_to_one_another_are_refused(save: Save) -> None:
    for archive in both(("a", "b"), ("b", "a")):
        assert refused(save, archive) == "a is a link that leads to itself"


def test_a_file_through_a_link_is_refused(save: Save) -> None:
    through = tar(other("d", tarfile.SYMTYPE, "."), file("d/evil"))
    assert refused(save, through) == "d/evil lies below d, which is a symbolic link"
    zipped_through = zipped(zip_link("d", "."), ("d/evil", b"x"))
    assert refused(save, zipped_through) == "d/evil lies below d, which is a symbolic link"


def test_a_link_in_the_place_of_a_directory_or_file_is_refused(save: Save) -> None:
    after = tar(file("d/x"), other("d", tarfile.SYMTYPE, "/tmp"), file("d/evil"))
    assert refused(save, after) == "d is there twice"
    after = tar(file("f"), other("f", tarfile.SYMTYPE, "/etc/passwd"), file("f"))
    assert refused(save, after) == "f is there twice"


def test_a_file_below_a_file_is_refused(save: Save) -> None:
    assert refused(save, tar(file("f"), file("f/x"))) == "f/x lies below f, which is a file"


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "later", "link", "good/../../x"])
def test_hard_links_that_are_not_to_an_earlier_file_are_refused(save: Save, target: str) -> None:
    archive = tar(
        file("good"),
        other("link", tarfile.SYMTYPE, "good"),
        other("hard", tarfile.LNKTYPE, target),
        file("later"),
    )
    assert refused(save, archive).startswith("hard ") or target in refused(save, archive)


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


# -- too much -------------------------------------------------------------------------------------


def zeros(megabytes: int) -> tuple[tarfile.TarInfo, bytes]:
    return file("zeros", bytes(megabytes << 20))


def test_a_bomb_is_refused_by_its_ratio(save: Save) -> None:
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert "times its size, as only a bomb does" in refused(save, pack(tar(zeros(15))))
    assert "times its size, as only a bomb does" in refused(save, zipped(("z", bytes(15 << 20))))


def test_too_many_bytes_are_refused(save: Save) -> None:
    noise = os.urandom(1 << 20)
    limits = Limits(unpacked=(1 << 20) - 1)
    assert "with noise it unpacks to more than" in refused(save, tar(file("noise", noise)), limits)
    assert "with noise it unpacks to more than" in refused(save, zipped(("noise", noise)), limits)
    inspect(save(tar(file("noise", noise))), Limits(unpacked=1 << 20))


def test_a_member_that_holds_more_than_it_says_is_refused(save: Save) -> None:
    lying = bytearray(zipped(("z", bytes(30 << 20))))
    struct.pack_into("<L", lying, lying.index(b"PK\x01\x02") + 24, 10)
    assert "damaged or cut off at z" in refused(save, bytes(lying))


def test_zeros_behind_the_end_are_counted(save: Save) -> None:
    limits = Limits(unpacked=1 << 20, members=10)
    behind = gzip.compress(tar(file("a")) + bytes(50 << 20))
    with pytest.raises(TooBigError):
        inspect(save(behind), limits)


def test_too_many_members_are_refused(save: Save) -> None:
    limits = Limits(members=10)
    many = [file(str(number)) for number in range(11)]
    assert refused(save, tar(*many), limits) == "it has more than 10 members"
    assert refused(save, zipped(*[(m[0].name, b"") for m in many]), limits) == (
        "it has more than 10 members"
    )
    inspect(save(tar(*many[:10])), limits)


def test_directories_that_are_only_named_in_paths_count(save: Save) -> None:
    assert "more than 10 members" in refused(
        save, tar(file("/".join("abcdefghijk"))), Limits(members=10)
    )


def test_the_directory_of_a_zip_is_counted_before_it_is_read(save: Save) -> None:
    archive = save(zipped(*[(f"{number:06}", b"") for number in range(60_000)]))
    tracemalloc.start()
    with pytest.raises(TooBigError):
        inspect(archive, LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_a_header_of_a_gigabyte_is_not_read(save: Save) -> None:
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type = tarfile.GNUTYPE_LONGNAME
    long_name.size = 1 << 30
    content = gzip.compress(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(200 << 20), 1)
    tracemalloc.start()
    assert "a header is longer than any can be" in refused(save, content)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_headers_upon_headers_are_refused(save: Save) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = 0
    assert "damaged" in refused(save, tar(file("a"))[:1024] + header.tobuf() * 3000)


def test_names_too_long_and_too_deep_are_refused(save: Save) -> None:
    assert "longer than 1024 bytes" in refused(save, tar(file("/".join(["n" * 200] * 6))))
    assert "part of more than 255 bytes" in refused(save, tar(file("n" * 256)))
    assert "deeper than 40 directories" in refused(save, tar(file("d/" * 40 + "f")))


def test_memory_stays_small(save: Save, tmp_path: Path) -> None:
    archive = save(tar(file("noise", os.urandom(30 << 20))))
    tracemalloc.start()
    unpack(archive, tmp_path / "target", Limits())
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


# -- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        tar(file("a", os.urandom(2000)), file("b")),
        gzip.compress(tar(file("a", os.urandom(2000)))),
        bz2.compress(tar(file("a", os.urandom(2000)))),
        lzma.compress(tar(file("a", os.urandom(2000)))),
        zipped(("a", os.urandom(2000)), ("b", b"x")),
    ],
    ids=["tar", "gz", "bz2", "xz", "zip"],
)
def test_what_is_cut_off_anywhere_is_refused(save: Save, content: bytes) -> None:
    # A plain tar ends with as many zeros as fill a record; two blocks of them are its end.
    end = content.rstrip(b"\0") + bytes(512) if content.endswith(bytes(1024)) else content
    for length in range(0, len(end) - 1, 97):
        refused(save, content[:length])


def test_negative_sizes_are_refused(save: Save) -> None:
    header = bytearray(file("evil")[0].tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + (-1024).to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    assert "evil has a negative size" in refused(save, bytes(header) + bytes(4096))


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(save: Save) -> None:
    content = bytearray(tar(file("a"), file("b"), file("c")))
    content[1024 + 148] ^= 1  # the checksum of b
    assert "the mark of its end is missing" in refused(save, bytes(content))


def test_encrypted_members_are_refused(tmp_path: Path, save: Save) -> None:
    (tmp_path / "secret").write_text("x")
    subprocess.run(["zip", "-qP", "password", "e.zip", "secret"], cwd=tmp_path, check=True)
    content = (tmp_path / "e.zip").read_bytes()
    (tmp_path / "e.zip").unlink()
    (tmp_path / "secret").unlink()
    assert refused(save, content) == "secret is encrypted"


def test_ways_of_packing_that_need_much_memory_are_refused(save: Save) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x")
    assert "a is packed in a way that is not taken" in refused(save, packed.getvalue())
