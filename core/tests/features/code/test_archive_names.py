"""Names and links in archives: those that leave the target are refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from odd_archives import LIMITS, Save, file, other, refused, tar, zip_link, zipped

from conpaas.features.code.archives import unpack

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
