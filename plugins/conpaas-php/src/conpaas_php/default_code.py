"""The code that a new service begins with."""

from __future__ import annotations

import io
import tarfile
from importlib import resources

FILENAME = "code-default.tar"
_NAME = "index.php"


def default_code() -> bytes:
    """Return a tar with one page that says that it works, the same one every time."""
    content = resources.files(__package__).joinpath("welcome", _NAME).read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(_NAME)
        info.size = len(content)
        info.mode = 0o644
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
