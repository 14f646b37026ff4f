"""The directory of images: its lock, what is unfinished in it, and what an image is made of."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from conpaas.clouds.local.commands import run as run_quietly
from conpaas.errors import CloudError

#: Begins the names of what is being made, or removed.
UNFINISHED = ".new-"
_LAYERS = "opt/conpaas/layers.json"
Progress = Callable[[str], None]


@contextlib.contextmanager
def building(directory: Path, progress: Progress) -> Iterator[int]:
    """Hold the lock on a directory of images, without what interrupted builds have left."""
    if os.geteuid() != 0:
        raise CloudError("images are built by root: use sudo")
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in directory.glob(f"{UNFINISHED}*"):
            remove_tree(left)
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def note_layers(image: Path, layers: Iterable[str]) -> None:
    """Note in an image what it was made of, which lies beside it: its base and its libraries."""
    (image / _LAYERS).write_text(json.dumps(sorted(layers)), encoding="utf-8")


def layers_of(image: Path) -> list[str]:
    """Return what an image was made of, the base first; nothing of one that does not say."""
    with contextlib.suppress(FileNotFoundError):
        return [str(name) for name in json.loads((image / _LAYERS).read_text(encoding="utf-8"))]
    return []


def remove_tree(path: Path) -> None:
    """Remove a directory in which something may be mounted still."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    inside = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{path}/")]
    for mount in sorted(inside, reverse=True):
        run_quietly("umount", "--lazy", mount)
    shutil.rmtree(path)
