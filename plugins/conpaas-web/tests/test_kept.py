"""Directories that all versions of the code share."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.errors import InvalidError
from conpaas_web import kept as kept_module
from conpaas_web.kept import Kept, check_directories
from conpaas_web.kept_archive import look_through


class Place:
    """Versions of the code, and what is kept of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept = Kept(root / "kept", None)

    def version(self, name: str, **files: str) -> Path:
        version = self.root / "code" / name
        for path, text in files.items():
            file = version / path.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        version.mkdir(parents=True, exist_ok=True)
        return version


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def tree(directory: Path) -> dict[str, str]:
    """Return what is in the files below a directory."""
    return {
        str(Path(place, name).relative_to(directory)): Path(place, name).read_text()
        for place, _, names in os.walk(directory, followlinks=True)
        for name in names
    }


def test_the_first_version_fills_what_is_kept_and_all_share_it(place: Place) -> None:
    first = place.version("a", data__x="from a", data__deep__y="deep")
    second = place.version("b", data__x="from b", data__z="only in b")

    assert place.kept.link(first, ("data",))
    assert place.kept.link(second, ("data",))
    (first / "data/new").write_text("written")

    assert tree(second / "data") == {"x": "from a", "deep/y": "deep", "new": "written"}
    assert not place.kept.link(first, ("data",))
    assert not place.kept.link(second, ("data",))


def test_a_directory_that_no_version_has_is_made(place: Place) -> None:
    version = place.version("a", index="x")
    place.kept.link(version, ("data", "wp-content/uploads"))
    (version / "wp-content/uploads/picture").write_text("picture")
    assert tree(place.kept.place) == {"wp-content/uploads/picture": "picture"}


def test_what_is_kept_no_longer_becomes_a_copy_in_each_version(place: Place) -> None:
    versions = [place.version(name, data__x=name) for name in "ab"]
    for version in versions:
        place.kept.link(version, ("data",))
    for version in versions:
        assert place.kept.unlink(version, ("data",))
        assert not place.kept.unlink(version, ("other",))
    place.kept.forget(("data",))
    (versions[0] / "data/x").write_text("changed")
    assert [tree(version) for version in versions] == [{"data/x": "changed"}, {"data/x": "a"}]
    assert tree(place.kept.place) == {}


@pytest.mark.parametrize("bad", ["..", "/data", "a/../../b", "", ".", "./", "a\nb", "x/.."])
def test_paths_that_lead_elsewhere_are_refused(bad: str) -> None:
    with pytest.raises(InvalidError, match="cannot be kept"):
        check_directories((bad,))


def test_paths_have_one_form(place: Place) -> None:
    assert check_directories(("./b//c/", "a", "a/")) == ("a", "b/c")
    with pytest.raises(InvalidError, match="'a/b' lies in 'a'"):
        check_directories(("a", "a/b"))


def test_a_link_in_the_code_is_not_followed(place: Place) -> None:
    outside = place.root / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    version = place.version("a", index="x")
    (version / "data").symlink_to(outside)
    (version / "parent").symlink_to(outside)
    (version / "file").write_text("x")
    for directory in ("data", "parent/uploads", "file", "file/below"):
        with pytest.raises(InvalidError, match="cannot be kept"):
            place.kept.link(version, (directory,))
    assert tree(outside) == {"secret": "secret"}
    assert [p.name for p in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize("step", range(1, 12))
@pytest.mark.parametrize("what", ["link", "unlink"])
def test_every_step_may_be_cut_off(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: int, what: str
) -> None:
    first = place.version("a", data__x="from a")
    second = place.version("b", data__x="from b")
    place.kept.link(first, ("data",))
    if what == "unlink":
        place.kept.link(second, ("data",))
    steps = 0

    def cut_off(call: Callable[..., object]) -> Callable[..., object]:
        def cut(*arguments: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step:
                raise KeyboardInterrupt
            return call(*arguments, **named)

        return cut

    with monkeypatch.context() as patch:
        for name in ("rename", "symlink", "unlink", "mkdir"):
            patch.setattr(kept_module.os, name, cut_off(getattr(os, name)))
        patch.setattr(kept_module.shutil, "rmtree", cut_off(kept_module.shutil.rmtree))
        with contextlib.suppress(KeyboardInterrupt):
            getattr(place.kept, what)(second, ("data",))
    # Again, by another process.
    getattr(Kept(place.root / "kept", None), what)(second, ("data",))
    assert tree(second) == {"data/x": "from a"} == tree(first)
    assert (second / "data").is_symlink() == (what == "link")


def test_what_is_kept_goes_from_node_to_node_and_younger_files_stay(
    place: Place, tmp_path: Path
) -> None:
    other = Place(tmp_path / "other")
    here, there = place.version("a", data__x="x"), other.version("a", data__x="x")
    place.kept.link(here, ("data",))
    other.kept.link(there, ("data",))
    for path, text, time in (("old", "here", 100), ("new", "here", 300), ("sub/only", "here", 1)):
        file = here / "data" / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        os.utime(file, (time, time))
    for path in ("old", "new"):
        (there / "data" / path).write_text("there")
        os.utime(there / "data" / path, (200, 200))
    (here / "data/run").write_text("#!/bin/sh")
    (here / "data/run").chmod(0o700)
    (here / "data/link").symlink_to("sub/only")

    packed = b"".join(place.kept.pack(("data",)))
    other.kept.unpack(io.BytesIO(packed), ("data",))
    other.kept.unpack(io.BytesIO(packed), ("data",))

    found = tree(there / "data")
    assert found["old"] == "there"
    assert found["new"] == "here"
    assert found["sub/only"] == found["link"] == "here"
    assert (there / "data/run").stat().st_mode & 0o777 == 0o700
    assert (there / "data/new").stat().st_mtime == 300


def test_what_is_replaced_is_afterwards_as_it_is_elsewhere(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    here, there = place.version("a", data__kept="x"), other.version("a", data__deleted="x")
    place.kept.link(here, ("data", "conf"))
    other.kept.link(there, ("data", "conf"))
    os.utime(here / "data/kept", (1, 1))
    packed = b"".join(place.kept.pack(("data",)))
    with pytest.raises(InvalidError, match="damaged"):
        other.kept.replace(io.BytesIO(packed[:40]), ("data", "conf"))
    assert tree(there) == {"data/deleted": "x"}
    other.kept.replace(io.BytesIO(packed), ("data", "conf"))
    assert tree(there) == {"data/kept": "x"}
    assert (there / "conf").is_dir()
    assert not list(other.root.glob(".kept-passing/*"))


def test_a_directory_that_is_kept_but_empty_is_filled_by_the_first_version_that_has_it(
    place: Place,
) -> None:
    place.kept.link(place.version("a", index="x"), ("data",))
    second, third = place.version("b", data__x="from b"), place.version("c", data__x="from c")
    place.kept.link(second, ("data",))
    place.kept.link(third, ("data",))
    assert tree(third) == {"data/x": "from b"}


def test_nothing_kept_is_an_archive_too(place: Place) -> None:
    packed = b"".join(place.kept.pack(()))
    assert Kept(place.root / "other", None).unpack(io.BytesIO(packed), ("data",)) == 0


def test_nothing_is_written_but_below_what_is_kept(place: Place) -> None:
    version = place.version("a", data__x="x")
    place.kept.link(version, ("data",))
    outside = place.root / "outside"
    outside.mkdir()
    (version / "data/way").symlink_to(outside)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in (
            "data/way/in",
            "data/../up",
            "/etc/absolute",
            "other/file",
            "data/file/below",
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 4, 2_000_000_000
            archive.addfile(info, io.BytesIO(b"evil"))
        for target in ("/etc/passwd", "../../outside", "../other"):
            link = tarfile.TarInfo(f"data/link{len(target)}")
            link.type, link.linkname, link.mtime = tarfile.SYMTYPE, target, 2_000_000_000
            archive.addfile(link)
        device = tarfile.TarInfo("data/device")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    packed.seek(0)
    assert place.kept.unpack(packed, ("data",)) == 0
    assert list(outside.iterdir()) == []
    assert sorted(p.name for p in (version / "data").iterdir()) == ["way", "x"]


def test_a_damaged_archive_is_refused_and_what_is_there_stays(place: Place) -> None:
    version = place.version("a", data__x="x")
    place.kept.link(version, ("data",))
    packed = b"".join(place.kept.pack(("data",)))
    for damaged in (packed[:40], b"nonsense", b""):
        with pytest.raises(InvalidError, match="damaged"):
            place.kept.unpack(io.BytesIO(damaged), ("data",))
    assert tree(version) == {"data/x": "x"}


def of_two_nodes(place: Place, tmp_path: Path) -> bytes:
    """Return what two nodes pack, one after the other: both have a file, the second's younger."""
    packed = b""
    for number, name in enumerate(("one", "two"), 1):
        node = Place(tmp_path / name)
        version = node.version("a", **{"data__both": name, f"data__{name}": name})
        node.kept.link(version, ("data",))
        os.utime(version / "data/both", (number, number))
        packed += b"".join(node.kept.pack(("data",)))
    return packed


def test_what_several_nodes_keep_is_put_in_as_one(place: Place, tmp_path: Path) -> None:
    packed = of_two_nodes(place, tmp_path)
    place.kept.link(place.version("a", data__gone="x"), ("data",))
    assert place.kept.replace(io.BytesIO(packed), ("data",)) == 4
    assert tree(place.kept.place / "data") == {"both": "two", "one": "one", "two": "two"}
    assert place.kept.size(("data", "conf")) == 9


def test_what_several_nodes_keep_can_be_unpacked_with_tar(place: Place, tmp_path: Path) -> None:
    packed, there = of_two_nodes(place, tmp_path), tmp_path / "by tar"
    there.mkdir()
    subprocess.run(["tar", "-xzi", "-C", str(there)], input=packed, check=True)
    assert tree(there / "data") == {"both": "two", "one": "one", "two": "two"}


def test_it_is_told_what_there_is_and_damage_anywhere_is_found(
    place: Place, tmp_path: Path
) -> None:
    packed = of_two_nodes(place, tmp_path)
    assert found(packed) == "4 files in data, 12 bytes"
    assert found(b"".join(Kept(tmp_path / "nothing", None).pack(("data",)))) == "no files"
    middle = len(packed) * 3 // 4
    for damaged in (
        packed[:-30],
        packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :],
        packed + b"nonsense",
    ):
        with pytest.raises(InvalidError, match="damaged"):
            found(damaged)


def found(packed: bytes) -> str:
    looking = look_through(io.BytesIO(packed))
    while True:
        try:
            next(looking)
        except StopIteration as end:
            return str(end.value)
