"""Remove images that no machine lies over."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

from conpaas.clouds.local.driver import image_names


def prune_images(directory: Path | str, keep: str = "") -> list[str]:
    """Remove old images, bases and libraries; return the names of what went.

    Kept are the newest image, ``keep``, and those of machines, running or stopped, of the local
    clouds that have used this directory.
    """
    directory = Path(directory)
    lock = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        images = image_names(directory)
        wanted = {keep, *images[-1:], *_in_use(directory)}
        old = [name for name in images if name not in wanted]
        if len(old) == len(images):
            return []
        # An image is of hard links to its base, so only the next build misses an older one.
        for kind in ("base-*", "wheels-*"):
            layers = sorted(directory.glob(kind), key=lambda path: path.stat().st_atime)
            old += [path.name for path in layers[:-1] if path.name not in wanted]
        for name in old:
            # Out of sight first: half an image must not be booted.
            hidden = (directory / name).rename(directory / f".new-{name}")
            shutil.rmtree(hidden)
        return old
    finally:
        os.close(lock)


def _in_use(directory: Path) -> set[str]:
    used = set()
    for link in (directory / ".users").glob("*"):
        if not link.exists():
            link.unlink(missing_ok=True)
        for meta in link.glob("machines/*/meta.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                used.add(json.loads(meta.read_text(encoding="utf-8"))["image"])
    return used
