"""Archives that are too much to unpack, and those that are damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from odd_archives import LIMITS, Save, file, refused, tar, zipped

from conpaas.features.code.archives import Limits, TooBigError, inspect, unpack

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
