"""The git repository of an application: a bare one that strangers push to.

It knows nothing of ConPaaS's servers.  Whoever pushes writes as the repository's owner, who may
change its objects and branches and nothing else: settings and hooks belong to us.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conpaas import files
from conpaas.errors import TooLargeError

#: The branch of a new clone; `main` is taken as well.
DEFAULT_BRANCH = "master"
#: Address space of one git process: what a bomb unpacks to stays out of the manager's memory.
MEMORY = 1 << 30
#: Seconds of the processor for one git process.
PROCESSOR = 3600
_PATIENCE = 600.0  #: seconds that one git command may take
_PIECE = 1 << 16
_ENTRY = 400  #: bytes of a line of ls-tree on average, at most
_MANY_PACKS = 20

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
"""
#: Whoever pushes is not who owns the repository's settings, which git would distrust; it knows
#: the repository by what was typed (`code`), so that all are trusted: there is only one.
_SETTINGS = """\
[safe]
\tdirectory = *
[core]
\thooksPath = {repository}/hooks
\tbigFileThreshold = 16m
\tpackedGitWindowSize = 16m
\tpackedGitLimit = 128m
[pack]
\tthreads = 1
\twindowMemory = 64m
\tdeltaCacheSize = 16m
[transfer]
\tfsckObjects = true
[receive]
\tmaxInputSize = {limit}
\tunpackLimit = 1
\tautogc = false
\tadvertisePushOptions = false
[receive "fsck"]
\tbadTimezone = ignore
\tzeroPaddedFilemode = ignore
[gc]
\tauto = 0
[repack]
\tupdateServerInfo = false
"""


@dataclass(frozen=True)
class Entry:
    """What a tree holds under a name: ``mode`` as git writes it, ``object`` its hash in hex."""

    mode: str
    object: str
    name: str

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.mode == "040000"

    @property
    def is_submodule(self) -> bool:
        """Whether it is a commit of another repository."""
        return self.mode == "160000"


class GitError(Exception):
    """Git failed; its own words are in the message."""


class Repository:
    """A bare repository ``code`` in a directory of its own.

    Args:
        home: The directory; made if need be.
        limit: Bytes that the repository may have; more are refused as they come.
        owner: The user who serves it; None means this process's own.
    """

    def __init__(self, home: Path, limit: int, owner: str | None = None) -> None:
        self.home = home
        self.path = home / "code"
        self.settings = home / "gitconfig"
        self.limit = limit
        self._owner = owner
        self._tidying = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether there is a repository, whole."""
        return self.path.is_dir()

    # -- making it ----------------------------------------------------------------------------

    def prepare(self, hooks: Mapping[str, str], bundle: Path | None = None) -> bool:
        """Make the repository, or bring it up to date; say whether it is new.

        Args:
            hooks: Scripts by name.
            bundle: What a new one holds.
        """
        self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.home.chmod(0o755)
        limits = _SETTINGS.format(repository=self.path, limit=self.limit)
        files.write(self.settings, limits)
        work = self.home / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        self._give(work)
        new = not self.exists
        if new:
            self._make(bundle)
        for name, script in hooks.items():
            files.write(self.path / "hooks" / name, script, 0o755)
        return new

    def _make(self, bundle: Path | None) -> None:
        made = self.home / ".code.new"
        shutil.rmtree(made, ignore_errors=True)
        options = ["--quiet", "--bare", "--template=", f"--initial-branch={DEFAULT_BRANCH}"]
        self._run("init", *options, str(made), ours=True)
        files.write(made / "config", _CONFIG)
        (made / "hooks").mkdir(exist_ok=True)
        (made / "info").mkdir(exist_ok=True)
        # The commit that an archive is made of is a stand-in, whose hash nobody should read.
        files.write(made / "info" / "attributes", "* -export-subst\n")
        for name in ("objects", "refs"):
            for path in [made / name, *(made / name).rglob("*")]:
                self._give(path)
        self._share(made)
        if bundle is not None:
            with self._lent(bundle) as lent:
                self._run("fetch", "--quiet", str(lent), "refs/*:refs/*", repository=made)
            if not self._run("for-each-ref", repository=made):
                # Git takes one that is cut off in its head for an empty one.
                raise GitError("the copy of the repository is damaged: it holds no branches")
        made.rename(self.path)
        files.sync_directory(self.home)

    def _share(self, made: Path) -> None:
        if self._owner is None:
            return
        # Sticky: the owner makes files beside ours, and neither removes nor replaces ours.
        shutil.chown(made, group=self._owner)
        made.chmod(0o1770)

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            shutil.chown(path, self._owner, self._owner)

    @contextlib.contextmanager
    def _lent(self, file: Path) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.home / "work") as directory:
            self._give(Path(directory))
            lent = Path(directory, "bundle")
            shutil.copyfile(file, lent)
            self._give(lent)
            yield lent

    # -- looking into it ----------------------------------------------------------------------

    def tips(self) -> dict[str, str]:
        """Return the commit of each branch and tag, by its full name."""
        lines = self._run("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        pairs = (os.fsdecode(line).partition(" ") for line in lines)
        return {ref: tip for tip, _, ref in pairs}

    def choose_branch(self, wanted: Sequence[str]) -> None:
        """Have new clones begin on the first of these branches that there is, or is to be."""
        there = self.tips()
        first = next((name for name in wanted if f"refs/heads/{name}" in there), wanted[0])
        files.write(self.path / "HEAD", f"ref: refs/heads/{first}\n")

    def subject(self, commit: str) -> str:
        """Return the first line of a commit's message, fit to be shown."""
        text = self._run("log", "-1", "--format=%s", "--encoding=UTF-8", commit).decode(
            errors="replace"
        )
        return "".join(c for c in text.strip() if c.isprintable())

    def entries(self, tree: str, most: int, *, recursive: bool = False) -> list[Entry]:
        """Return what a tree (or a commit's tree) holds.

        Raises:
            TooLargeError: It is more than ``most``.
        """
        options = ["-r"] if recursive else []
        output = self._run("ls-tree", "-z", *options, tree, most=most * _ENTRY)
        lines = output.split(b"\0")[:-1]
        if len(lines) > most:
            raise TooLargeError(f"it has more than {most} files and directories")
        return [_entry(line) for line in lines]

    def size(self) -> int:
        """Return how many bytes the repository has on the disk, pushes on their way included."""
        total = 0
        for directory, _, names in os.walk(self.path / "objects"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(directory, name)).st_size
        return total

    # -- taking out of it ---------------------------------------------------------------------

    @contextlib.contextmanager
    def archive(self, commit: str, tree: str, word: str, most: int) -> Iterator[IO[bytes]]:
        """Make a tar.gz of a tree; the same of the same arguments, always and everywhere.

        Args:
            commit: Tells the time of the files.
            tree: What is packed.
            word: Something that tells this archive from others of the same tree.
            most: Bytes that it may have.

        Raises:
            TooLargeError: It has more.
        """
        time = self._run("log", "-1", "--format=%ct", commit).decode().strip()
        person = {"NAME": "ConPaaS", "EMAIL": "conpaas", "DATE": f"@{time} +0000"}
        with tempfile.TemporaryDirectory(dir=self.home / "work") as directory:
            self._give(Path(directory))
            # What is written here goes again: the repository itself stays as it is.
            environment = {
                "GIT_OBJECT_DIRECTORY": directory,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.path / "objects"),
                **{f"GIT_AUTHOR_{key}": value for key, value in person.items()},
                **{f"GIT_COMMITTER_{key}": value for key, value in person.items()},
            }
            made = self._run(
                "commit-tree", tree, "-m", f"{word} of {commit}", environment=environment
            )
            with tempfile.TemporaryFile() as file:
                options = ("--format=tar.gz", made.decode().strip())
                self._stream(("archive", *options), file, most, environment)
                file.seek(0)
                yield file

    def bundle(self, file: IO[bytes], most: int) -> None:
        """Write all branches and tags to a file, from which the repository can be made again.

        Raises:
            TooLargeError: It would have more than ``most`` bytes.
        """
        self._stream(("bundle", "create", "--quiet", "-", "--branches", "--tags"), file, most)

    def tidy(self, *, now: bool = False) -> None:
        """Pack what is in many pieces, drop what no branch has had for a day."""
        packs = len(list((self.path / "objects" / "pack").glob("*.pack")))
        if (now or packs > _MANY_PACKS) and self._tidying.acquire(blocking=False):
            try:
                self._run("gc", "--quiet", "--cruft", "--prune=1.day.ago")
            finally:
                self._tidying.release()

    # -- running git --------------------------------------------------------------------------

    def _run(
        self,
        *arguments: str,
        repository: Path | None = None,
        environment: Mapping[str, str] = {},
        most: int = 16 << 20,
        ours: bool = False,
    ) -> bytes:
        with tempfile.TemporaryFile() as file:
            self._stream(arguments, file, most, environment, repository=repository, ours=ours)
            file.seek(0)
            return file.read()

    def _stream(
        self,
        arguments: Sequence[str],
        file: IO[bytes],
        most: int,
        environment: Mapping[str, str] = {},
        *,
        repository: Path | None = None,
        ours: bool = False,
    ) -> None:
        """Run git and write what it prints to a file; ``ours`` for a command of our own user."""
        at = [] if ours else [f"--git-dir={repository or self.path}"]
        owner = None if ours else self._owner
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                ["prlimit", f"--as={MEMORY}", f"--cpu={PROCESSOR}", "--", "git", *at, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**self._environment, **environment},
                cwd="/",
                user=owner,
                group=owner,
                extra_groups=None if owner is None else [],
            )
            watchdog = threading.Timer(_PATIENCE, process.kill)
            watchdog.start()
            try:
                written = 0
                while process.stdout and (piece := process.stdout.read(_PIECE)):
                    written += len(piece)
                    if written > most:
                        raise TooLargeError(f"it has more than the {most >> 20} MB allowed")
                    file.write(piece)
                status = process.wait()
            finally:
                watchdog.cancel()
                process.kill()
                process.communicate()
            if status != 0:
                complaints.seek(0)
                told = complaints.read(4000).decode(errors="replace").strip()
                told = told or f"ended by signal {-status}" if status < 0 else told
                raise GitError(f"git {arguments[0]} failed: {told or f'status {status}'}")

    @property
    def _environment(self) -> dict[str, str]:
        # Nothing of this process's own: GIT_DIR, say, would lead elsewhere.
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(self.settings),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }


def _entry(line: bytes) -> Entry:
    facts, _, name = os.fsdecode(line).partition("\t")
    mode, _, object_ = facts.split(" ")
    return Entry(mode, object_, name)
