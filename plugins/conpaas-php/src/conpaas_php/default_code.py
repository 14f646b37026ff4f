"""The code that a new service begins with."""

from __future__ import annotations

from importlib import resources

from conpaas.features.code.packing import packed

FILENAME = "code-default.tar"
_NAME = "index.php"


def default_code() -> bytes:
    """Return a tar with one page that says that it works, the same one every time."""
    content = resources.files(__package__).joinpath("welcome", _NAME).read_bytes()
    return packed({_NAME: content})
