"""DokuWiki, a PHP application that nobody here wrote: made of Debian's packages by apt alone.

Debian splits it: configuration in /etc, plugins and templates in /var/lib, libraries in packages
of their own which its code names by absolute paths.  Here all of it comes into one tree that runs
wherever it is unpacked and needs no installer: links are resolved, the libraries lie in
``vendor/debian`` and the code names them from where it is itself.  What the wiki writes is in
``data``.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

ADMIN, PASSWORD = "anna", "correct horse"
TITLE = "Wiki of Anna"
PACKAGES = (
    "dokuwiki", "libjs-jquery", "libjs-jquery-cookie", "libjs-jquery-ui", "libphp-simplepie",
    "php-geshi", "php-phpseclib",
)  # fmt: skip
#: The constant beginning of a file's name in PHP, as Debian has patched it in.
_ABSOLUTE = re.compile(r"""(?:\$vendorDir \. )?(['"])/usr/share/(?!dokuwiki)(?=[\w./-]+)""")
_LIBRARIES = "vendor/debian"
_LOCAL = f"""\
<?php
$conf['title'] = '{TITLE}';
$conf['savedir'] = './data';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['disableactions'] = 'register,resendpwd';
$conf['updatecheck'] = 0;
"""
_ACL = "# <?php exit()?>\n*\t@ALL\t1\n*\t@user\t8\n"


def archive(to: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write a tar.gz that expands in the current directory; return it.

    Args:
        to: The file.
        files: More files, by name, which make it another version.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conpaas-tests"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = "\n".join([*_candidates(), Path(__file__).read_text()])
        plain = cache / f"dokuwiki-{hashlib.sha256(key.encode()).hexdigest()[:16]}.tar"
        if not plain.exists():
            _make(plain)
    with tarfile.open(to, "w:gz", compresslevel=1) as tar:
        _copy(plain, tar)
        for name, text in (files or {}).items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return to


def _copy(source: Path, to: tarfile.TarFile) -> None:
    with tarfile.open(source) as tar:
        for member in tar:
            to.addfile(member, tar.extractfile(member) if member.isfile() else None)


# -- the packages ---------------------------------------------------------------------------------


def _candidates() -> list[str]:
    """Return each package with the version that apt would download."""

    def ask() -> dict[str, str]:
        told = _run("apt-cache", "policy", *PACKAGES)
        found = re.findall(r"^(\S+):\n.*\n  Candidate: (\S+)", told, re.MULTILINE)
        return {name: version for name, version in found if version != "(none)"}

    found = ask()
    if set(found) != set(PACKAGES):
        _run("apt-get", "update")
        found = ask()
    missing = set(PACKAGES) - set(found)
    assert not missing, f"apt knows no {', '.join(sorted(missing))}"
    return [f"{name}={found[name]}" for name in PACKAGES]


def _download(directory: Path) -> list[Path]:
    """Download the packages; the lists of a machine that has slept may name old ones."""
    line = ["apt-get", "-o", "APT::Sandbox::User=root", "download"]
    try:
        _run(*line, *PACKAGES, where=directory)
    except AssertionError:
        _run("apt-get", "update")
        _run(*line, *PACKAGES, where=directory)
    return [next(directory.glob(f"{name}_*.deb")) for name in PACKAGES]


def _run(*command: str, where: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=where, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


# -- the tree -------------------------------------------------------------------------------------


def _make(to: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dokuwiki-") as name:
        directory = Path(name)
        root = directory / "root"
        own, *libraries = _download(directory)
        _run("dpkg", "-x", str(own), str(root))
        # Leads to a place in dokuwiki's tree that Debian has emptied for the package of its own.
        shutil.rmtree(root / "usr/share/php")
        for package in libraries:
            _run("dpkg", "-x", str(package), str(root))
        tree = directory / "tree"
        _take(root, root / "usr/share/dokuwiki", tree)
        _take(root, root / "etc/dokuwiki", tree / "conf")
        _take(root, root / "var/lib/dokuwiki/data", tree / "data")
        for library in _name_from_here(tree):
            where = tree / _LIBRARIES / library
            if not where.exists():
                _take(root, root / "usr/share" / library, where)
        _configure(tree)
        with tarfile.open(to.with_suffix(".new"), "w") as tar:
            for path in sorted(tree.iterdir()):
                tar.add(path, path.name, filter=_anybodys)
        to.with_suffix(".new").replace(to)


def _take(root: Path, source: Path, to: Path) -> None:
    """Copy a tree out of the root that links are meant in, with what they lead to.

    Those that lead nowhere are for files that only an installation makes.
    """
    source = _resolve(root, source)
    if source.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            _take(root, path, to / path.name)
    elif source.is_file():
        shutil.copyfile(source, to)


def _resolve(root: Path, path: Path) -> Path:
    for _ in range(10):
        if not path.is_symlink():
            return path
        target = os.readlink(path)
        path = root / target[1:] if target[0] == "/" else path.parent / target
    raise AssertionError(f"{path} leads in circles")


def _name_from_here(tree: Path) -> set[str]:
    """Have the code name its libraries from where it is; return the directories of those."""
    found = set()
    for path in tree.rglob("*.php"):
        text = path.read_bytes().decode("latin-1")
        here = f"__DIR__ . '/{os.path.relpath(tree / _LIBRARIES, path.parent)}/"
        changed = []
        for line in text.splitlines(keepends=True):
            found |= {re.split(r"[/'\"]", line[m.end() :])[0] for m in _ABSOLUTE.finditer(line)}
            changed.append(_ABSOLUTE.sub(here, line))
        if (new := "".join(changed)) != text:
            path.write_bytes(new.encode("latin-1"))
    return found


def _configure(tree: Path) -> None:
    # Debian's, which leads to /etc; without it the code looks in its own conf.
    (tree / "inc/preload.php").unlink()
    # Wants to be removed when a wiki is set up.
    (tree / "install.php").unlink()
    salt = b"salt"
    digest = hashlib.sha1(PASSWORD.encode() + salt, usedforsecurity=False).digest()
    secret = "{SSHA}" + base64.b64encode(digest + salt).decode()
    conf = tree / "conf"
    (conf / "local.php").write_text(_LOCAL)
    (conf / "acl.auth.php").write_text(_ACL)
    (conf / "users.auth.php").write_text(
        f"# <?php exit()?>\n{ADMIN}:{secret}:Anna:anna@example.org:admin,user\n"
    )


def _anybodys(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info
