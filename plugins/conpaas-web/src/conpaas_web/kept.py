"""Directories of the code that all its versions on a node share, as data that the code wrote.

What is kept lies outside the versions; in each version the directory is a link there.  The code
may write below its own tree whatever it likes, links too: nothing here follows one, for all of
this is done by root.  Every step may be cut off and done again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from conpaas.errors import AgentError, InvalidError
from conpaas_web.kept_archive import opened

_PIECE = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_directories(directories: Sequence[str]) -> tuple[str, ...]:
    """Return paths of directories in the code in their plain form, sorted.

    Raises:
        InvalidError: One leads out of the code, or lies in another one.
    """
    plain = []
    for directory in directories:
        parts = [part for part in directory.split("/") if part not in ("", ".")]
        if directory.startswith("/") or ".." in parts or not parts or not directory.isprintable():
            raise InvalidError(
                f"{directory[:100]!r} cannot be kept: give the path of a directory in the code, "
                "such as data or wp-content/uploads"
            )
        plain.append("/".join(parts))
    for first in plain:
        for second in plain:
            if second.startswith(f"{first}/"):
                raise InvalidError(f"{second!r} lies in {first!r}: that one is enough")
    return tuple(sorted(set(plain)))


class Kept:
    """The kept directories of a node.

    Args:
        place: Where they are.
        owner: Who owns them: user and group number; None leaves them to this process.
    """

    def __init__(self, place: Path, owner: tuple[int, int] | None) -> None:
        self.place = place
        self._owner = owner
        #: On the same file system, so that things can be moved in one step.
        self._passing = place.with_name(f".{place.name}-passing")

    def link(self, version: Path, directories: Sequence[str]) -> bool:
        """Have a version share the directories; the first version that has one fills it.

        Args:
            version: Where it is.
            directories: As :func:`check_directories` returns them.

        Returns:
            Whether anything is new.

        Raises:
            InvalidError: There is something else than a directory.
        """
        changed = False
        for directory in directories:
            changed |= self._link(version, directory)
        return changed

    def unlink(self, version: Path, directories: Sequence[str]) -> bool:
        """Give a version its own copy of directories that are kept no longer."""
        changed = False
        for directory in directories:
            name = PurePosixPath(directory).name
            with _parent(version, directory) as parent:
                if parent is None or not self._is_shared(parent, name, directory):
                    continue
                copy = self._new_passing()
                if (self.place / directory).is_dir():
                    _copy(self.place / directory, copy)
                else:
                    self._make(copy)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parent)
                os.rename(copy, name, dst_dir_fd=parent)
                changed = True
        return changed

    def forget(self, directories: Sequence[str]) -> None:
        """Remove what was kept of directories that no version shares any more."""
        for directory in directories:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.place / directory, self._new_passing())
        self.clean_up()

    def clean_up(self) -> None:
        """Remove what a crash may have left."""
        if self._passing.is_dir():
            shutil.rmtree(self._passing)

    def size(self, directories: Sequence[str]) -> int:
        """Return how many bytes the files in the directories have."""
        total = 0
        for directory in directories:
            for place, _, names in os.walk(self.place / directory):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        total += Path(place, name).lstat().st_size
        return total

    def pack(self, directories: Sequence[str]) -> Iterator[bytes]:
        """Return the directories as the pieces of a tar.gz; links stay links.

        Raises:
            AgentError: Something cannot be read.
        """
        there = [name for name in directories if (self.place / name).is_dir()]
        if not there:
            # What is kept may be nothing: an archive of that is one too.
            self.place.mkdir(mode=0o755, parents=True, exist_ok=True)
        command = ["tar", "-C", str(self.place), "--warning=no-file-changed", "-cz", "-f", "-"]
        process = subprocess.Popen(
            [*command, "--", *there] if there else [*command, "-T", "/dev/null"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None  # noqa: S101
        try:
            while piece := process.stdout.read(_PIECE):
                yield piece
            complaints = process.stderr.read(10_000).decode(errors="replace").strip()
            # 1: a file changed while it was read, as files of running code do.
            if process.wait() > 1:
                raise AgentError(f"what is kept cannot be packed: {complaints}")
        finally:
            process.kill()
            process.stdout.close()
            process.stderr.close()
            process.wait()

    def unpack(self, stream: IO[bytes], directories: Sequence[str]) -> int:
        """Put in what :meth:`pack` returned elsewhere; of the same file the younger one stays.

        Args:
            stream: The archive, or several behind each other, read once.
            directories: Those that are kept here; nothing goes anywhere else.

        Returns:
            How many files were put in.

        Raises:
            InvalidError: It is no such archive.
        """
        self.clean_up()
        count = 0
        try:
            with opened(stream) as archive:
                for member in archive:
                    count += self._put(archive, member, directories)
        finally:
            self.clean_up()
        return count

    def replace(self, stream: IO[bytes], directories: Sequence[str]) -> int:
        """Put in what :meth:`pack` returned elsewhere, and nothing that is here stays.

        What was deleted there so does not come back from here.  A directory that did not come
        stays as it is.

        Args:
            stream: The archive, read once; if it is damaged all stays as it is.
            directories: Those that are kept here.

        Returns:
            How many files were put in.

        Raises:
            InvalidError: It is no such archive.
        """
        self.clean_up()
        fresh = Kept(self._new_passing() / "kept", self._owner)
        try:
            count = fresh.unpack(stream, directories)
            for directory in directories:
                if (fresh.place / directory).is_dir():
                    self._make_target(directory)
                    os.rename(self.place / directory, self._new_passing())
                    os.rename(fresh.place / directory, self.place / directory)
        finally:
            self.clean_up()
        return count

    # -- how it is done -----------------------------------------------------------------------

    def _link(self, version: Path, directory: str) -> bool:
        target = self.place / directory
        name = PurePosixPath(directory).name
        self._make_parents(version, directory)
        with _parent(version, directory) as parent:
            if parent is None:
                raise InvalidError(
                    f"{directory} of {version.name} cannot be kept: it lies in no directory"
                )
            if _link_of(parent, name) == str(target):
                self._make_target(directory)
                return False
            there = _lstat(parent, name)
            if there is not None and not _is_directory(parent, name):
                raise InvalidError(
                    f"{directory} of {version.name} cannot be kept: it is no directory"
                )
            if there is not None and _holds_nothing(target):
                self._make_parents(self.place, directory)
                os.rename(name, target, src_dir_fd=parent)
            elif there is not None:
                os.rename(name, self._new_passing(), src_dir_fd=parent)
            self._make_target(directory)
            os.symlink(target, name, dir_fd=parent)
        self.clean_up()
        return True

    def _is_shared(self, parent: int, name: str, directory: str) -> bool:
        """Whether a version's directory is a link here, or was until a crash cut us off."""
        there = _lstat(parent, name)
        return (there is None and (self.place / directory).is_dir()) or (
            _link_of(parent, name) == str(self.place / directory)
        )

    def _make_target(self, directory: str) -> None:
        if not (self.place / directory).is_dir():
            self._make_parents(self.place, directory)
            self._make(self.place / directory)

    def _make_parents(self, root: Path, directory: str) -> None:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        at = os.open(root, _DIRECTORY)
        try:
            for part in PurePosixPath(directory).parts[:-1]:
                if _lstat(at, part) is None:
                    os.mkdir(part, 0o755, dir_fd=at)
                    self._own(part, at)
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=at)
                except OSError as error:
                    raise InvalidError(
                        f"{directory} of {root.name} cannot be kept: {part} is no directory"
                    ) from error
                os.close(at)
                at = below
        finally:
            os.close(at)

    def _make(self, path: Path) -> None:
        path.mkdir(mode=0o755, exist_ok=True)
        self._own(str(path), None)

    def _own(self, name: str, parent: int | None) -> None:
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=parent, follow_symlinks=False)

    def _new_passing(self) -> Path:
        self._passing.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._passing / secrets.token_hex(8)

    def _put(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, directories: Sequence[str]
    ) -> int:
        parts = PurePosixPath(member.name).parts
        path = "/".join(parts)
        within = [d for d in directories if path == d or path.startswith(f"{d}/")]
        if not within or ".." in parts:
            return 0
        self._make_target(within[0])
        with _parent(self.place, path) as parent:
            if parent is None:
                return 0  # here a file or a link stands where a directory stood there
            name = parts[-1]
            there = _lstat(parent, name)
            if member.isdir():
                if there is None:
                    os.mkdir(name, 0o755, dir_fd=parent)
                    self._own(name, parent)
                return 0
            if there is not None and (
                there.st_mtime >= member.mtime or _is_directory(parent, name)
            ):
                return 0
            new = self._new_passing()
            if member.issym() and _stays(within[0], path, member.linkname):
                new.symlink_to(member.linkname)
                os.utime(new, (member.mtime, member.mtime), follow_symlinks=False)
            elif member.isreg():
                self._write(archive, member, new)
            else:
                return 0
            self._own(str(new), None)
            os.rename(new, name, dst_dir_fd=parent)
        return 1

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, new: Path) -> None:
        source = archive.extractfile(member)
        assert source is not None  # noqa: S101 - it is a regular file
        with source, new.open("xb") as file:
            shutil.copyfileobj(source, file, _PIECE)
            os.fchmod(file.fileno(), member.mode & 0o777)
        os.utime(new, (member.mtime, member.mtime))


def _stays(directory: str, path: str, target: str) -> bool:
    """Whether a link stays in its kept directory."""
    if target.startswith("/"):
        return False
    steps: list[str] = list(PurePosixPath(path).parts[:-1])
    for part in target.split("/"):
        if part == "..":
            if not steps:
                return False
            steps.pop()
        elif part not in ("", "."):
            steps.append(part)
    end = "/".join(steps)
    return end == directory or end.startswith(f"{directory}/")


@contextmanager
def _parent(root: Path, path: str) -> Iterator[int | None]:
    """Open the directory in which a path's last part is, following no link; None if it is none."""
    at = os.open(root, _DIRECTORY)
    try:
        for part in PurePosixPath(path).parts[:-1]:
            try:
                below = os.open(part, _DIRECTORY, dir_fd=at)
            except OSError:
                yield None
                return
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _holds_nothing(path: Path) -> bool:
    """Whether a directory is not there, or was made for versions that had none."""
    return not path.is_dir() or next(path.iterdir(), None) is None


def _lstat(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_directory(parent: int, name: str) -> bool:
    try:
        os.close(os.open(name, _DIRECTORY, dir_fd=parent))
    except OSError:
        return False
    return True


def _link_of(parent: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return None


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with owners and times; links stay links."""
    done = subprocess.run(
        ["cp", "-a", "--", str(source), str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise AgentError(f"what is kept cannot be copied: {done.stderr.strip()[-500:]}")
