"""The code that a new service begins with."""

from __future__ import annotations

import io
import tarfile
from importlib import resources

from conpaas_generic.scripts import SCRIPTS

FILENAME = "code-default.tar"


def default_code() -> bytes:
    """Return a tar with the five scripts, the same one every time."""
    content = resources.files(__package__).joinpath("default.sh").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for script in SCRIPTS:
            info = tarfile.TarInfo(f"{script}.sh")
            info.size = len(content)
            info.mode = 0o755
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
