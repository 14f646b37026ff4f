"""Files packed as code: what a new service begins with, and what tests upload."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Literal


def packed(
    files: Mapping[str, str | bytes],
    *,
    mode: int = 0o644,
    times: Mapping[str, int] | None = None,
    form: Literal["w", "w:gz"] = "w",
) -> bytes:
    """Return a tar of files, given by name; an uncompressed one is the same every time.

    Args:
        files: What each holds; a text is written as UTF-8.
        mode: Who may read, write and execute them.
        times: When each was written, in seconds since 1970; 0 for those that are not named.
        form: ``w`` for a tar as it is, ``w:gz`` for one compressed by gzip.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=form) as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, (times or {}).get(name, 0)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()
