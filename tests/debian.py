"""Trees made of Debian's packages by apt alone, for applications that nobody here wrote.

Nothing is installed: packages are downloaded and unpacked, links are resolved, and the tree that
comes of it is kept as a tar until apt would download other versions.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def kept_tar(
    packages: Sequence[str],
    make: Callable[[Path, Path], None],
    source: Path,
    *,
    prefix: str = "",
    without: str = "",
) -> Path:
    """Return a tar of a tree that was made of packages; it is made once for their versions.

    Args:
        packages: Their names; the tar has the name of the first.
        make: Makes the tree: takes the root in which all packages were unpacked, and the place of
            the tree, which is not there yet.
        source: The file that says how it is made: when that changes, it is made again.
        prefix: What all paths in the tar begin with.
        without: A directory of the first package that is not wanted.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conpaas-tests"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = "\n".join([*_candidates(packages), source.read_text(), Path(__file__).read_text()])
        plain = cache / f"{packages[0]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.tar"
        if not plain.exists():
            _make(plain, packages, make, prefix, without)
    return plain


def take(root: Path, source: Path, to: Path) -> None:
    """Copy a tree out of the root that links are meant in, with what they lead to.

    Those that lead nowhere are for files that only an installation makes.
    """
    source = _resolve(root, source)
    if source.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            take(root, path, to / path.name)
    elif source.is_file():
        shutil.copyfile(source, to)


def _make(
    to: Path,
    packages: Sequence[str],
    make: Callable[[Path, Path], None],
    prefix: str,
    without: str,
) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{packages[0]}-") as name:
        directory = Path(name)
        root, tree = directory / "root", directory / "tree"
        for number, package in enumerate(_download(directory, packages)):
            _run("dpkg", "-x", str(package), str(root))
            if without and number == 0:
                shutil.rmtree(root / without)
        make(root, tree)
        with tarfile.open(to.with_suffix(".new"), "w") as tar:
            for path in sorted(tree.iterdir()):
                tar.add(path, f"{prefix}{path.name}", filter=_anybodys)
        to.with_suffix(".new").replace(to)


def _candidates(packages: Sequence[str]) -> list[str]:
    """Return each package with the version that apt would download."""

    def ask() -> dict[str, str]:
        told = _run("apt-cache", "policy", *packages)
        found = re.findall(r"^(\S+):\n.*\n  Candidate: (\S+)", told, re.MULTILINE)
        return {name: version for name, version in found if version != "(none)"}

    found = ask()
    if set(found) != set(packages):
        _run("apt-get", "update")
        found = ask()
    missing = set(packages) - set(found)
    assert not missing, f"apt knows no {', '.join(sorted(missing))}"
    return [f"{name}={found[name]}" for name in packages]


def _download(directory: Path, packages: Sequence[str]) -> list[Path]:
    """Download packages; the lists of a machine that has slept may name old ones."""
    line = ["apt-get", "-o", "APT::Sandbox::User=root", "download"]
    try:
        _run(*line, *packages, where=directory)
    except AssertionError:
        _run("apt-get", "update")
        _run(*line, *packages, where=directory)
    return [next(directory.glob(f"{name}_*.deb")) for name in packages]


def _run(*command: str, where: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=where, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def _resolve(root: Path, path: Path) -> Path:
    for _ in range(10):
        if not path.is_symlink():
            return path
        target = os.readlink(path)
        path = root / target[1:] if target[0] == "/" else path.parent / target
    raise AssertionError(f"{path} leads in circles")


def _anybodys(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info
