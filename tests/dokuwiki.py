"""DokuWiki, a PHP application that nobody here wrote: made of Debian's packages by apt alone.

Debian splits it: configuration in /etc, plugins and templates in /var/lib, libraries in packages
of their own which its code names by absolute paths.  Here all of it comes into one tree that runs
wherever it is unpacked and needs no installer: links are resolved, the libraries lie in
``vendor/debian`` and the code names them from where it is itself.  What the wiki writes is in
``data``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from debian import kept_tar, take

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
    # Leads to a place in dokuwiki's tree that Debian has emptied for the package of its own.
    plain = kept_tar(PACKAGES, _make, Path(__file__), without="usr/share/php")
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


# -- the tree -------------------------------------------------------------------------------------


def _make(root: Path, tree: Path) -> None:
    take(root, root / "usr/share/dokuwiki", tree)
    take(root, root / "etc/dokuwiki", tree / "conf")
    take(root, root / "var/lib/dokuwiki/data", tree / "data")
    for library in _name_from_here(tree):
        where = tree / _LIBRARIES / library
        if not where.exists():
            take(root, root / "usr/share" / library, where)
    _configure(tree)


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
