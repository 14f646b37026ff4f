"""The code that a new service begins with."""

from __future__ import annotations

from importlib import resources

from conpaas.features.code.packing import packed
from conpaas_generic.scripts import SCRIPTS

FILENAME = "code-default.tar"


def default_code() -> bytes:
    """Return a tar with the five scripts, the same one every time."""
    content = resources.files(__package__).joinpath("default.sh").read_bytes()
    return packed({f"{script}.sh": content for script in SCRIPTS}, mode=0o755)
