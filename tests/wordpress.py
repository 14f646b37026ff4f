"""WordPress, a blog that nobody here wrote: made of Debian's packages by apt alone.

Debian splits it: its configuration looks in /etc, scripts and certificates are in packages of
their own, and so is the theme.  Here all of it comes into one tree, as WordPress hands it out.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path

from debian import kept_tar, take

PACKAGES = (
    "wordpress", "wordpress-theme-twentytwentythree", "libjs-cropper", "libjs-underscore",
    "php-getid3",
)  # fmt: skip
#: Where things that are not this machine's are found on it.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_END = "/* That's all, stop editing!"


def tarball(to: Path) -> Path:
    """Write a tar.gz that expands into the directory ``wordpress``; return it."""
    plain = kept_tar(PACKAGES, _make, Path(__file__), prefix="wordpress/")
    with plain.open("rb") as source, gzip.open(to, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(source, packed)
    return to


def edit(config: Path, lines: str) -> None:
    """Edit ``wp-config.php`` as somebody does who is told what lines shall stand in it.

    Args:
        config: The file.
        lines: Definitions of PHP, one a line: they take the place of those of the same names, or
            stand at the end.
    """
    text = config.read_text()
    for line in lines.splitlines():
        name = re.match(r"define\( '(\w+)'", line)
        assert name, f"not a definition: {line}"
        old = re.compile(rf"^define\( *'{name[1]}'.*$", re.MULTILINE)
        if old.search(text):
            text = old.sub(line.replace("\\", r"\\"), text)
        else:
            assert _END in text
            text = text.replace(_END, f"{line}\n\n{_END}")
    config.write_text(text)


def _make(root: Path, tree: Path) -> None:
    take(root, root / "usr/share/wordpress", tree)
    # Debian's own, which looks for the configuration in /etc.
    (tree / "wp-config.php").unlink()
    (tree / ".htaccess").unlink(missing_ok=True)
    certificates = tree / "wp-includes/certificates/ca-bundle.crt"
    certificates.unlink(missing_ok=True)
    shutil.copyfile(os.path.realpath(_CERTIFICATES), certificates)
