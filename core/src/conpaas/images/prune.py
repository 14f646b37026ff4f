"""Remove images that nothing uses any more, so that updates do not fill the disk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path

from conpaas.clouds.local.driver import image_names
from conpaas.clouds.local.store import Store
from conpaas.images.directory import UNFINISHED, Progress, building, layers_of, remove_tree

#: How many of the images with the same packages are kept; they differ in our code.
NEWEST = 3
#: Seconds for which an image that was asked for is kept whatever else: whoever asked may be
#: about to boot it, in another tree or another run of the tests.
FRESH = 3600.0
#: Seconds after which an image that nobody has asked for goes, how few there may be.
OLD = 30 * 24 * 3600.0


def prune_images(
    directory: Path | str,
    keep: Iterable[str] = (),
    newest: int = NEWEST,
    seconds: float = inf,
    progress: Progress = lambda text: None,
) -> list[str]:
    """Remove old images, bases and libraries.

    Never removed are ``keep``, the newest image, those of the machines, running or stopped, of the
    local clouds that have used this directory, those that such a cloud boots from now on, and
    those that somebody has asked for in the last hour.

    Args:
        directory: Where images are.
        keep: Images that stay.
        newest: How many stay of those with the same packages, unless nobody has asked for them
            for a month.
        seconds: After which no more is begun; what is left goes the next time.
        progress: Told what happens.

    Returns:
        The names of what went.
    """
    directory = Path(directory)
    with building(directory, progress):
        images = image_names(directory)
        kept = {*keep, *images[-1:], *_in_use(directory), *_last(directory, images, newest)}
        old = [name for name in images if name not in kept and not _is_fresh(directory / name)]
        # An image is of hard links to its base, so only the next build misses an older one.
        kept |= {layer for name in images if name in kept for layer in layers_of(directory / name)}
        for kind in ("base-*", "wheels-*"):
            layers = sorted(directory.glob(kind), key=_asked)
            old += [
                path.name for path in layers[:-1] if path.name not in kept and not _is_fresh(path)
            ]
        if old:
            progress(f"removing {_counted(old)} that nothing uses any more")
        begun = time.monotonic()
        for done, name in enumerate(old):
            if time.monotonic() - begun >= seconds:
                progress(f"  {_counted(old[done:])} will go the next time")
                return old[:done]
            # Out of sight first: half an image must not be booted.
            remove_tree((directory / name).rename(directory / f"{UNFINISHED}{name}"))
        return old


def _last(directory: Path, images: list[str], newest: int) -> Iterator[str]:
    """Return the newest images of each base; ``images`` are sorted, the oldest first."""
    count: dict[str, int] = {}
    for name in reversed(images):
        base = next(iter(layers_of(directory / name)), "")
        count[base] = count.get(base, 0) + 1
        if count[base] <= newest and time.time() - _asked(directory / name) < OLD:
            yield name


def _in_use(directory: Path) -> set[str]:
    used: set[str] = set()
    for link in (directory / ".users").glob("*"):
        if link.exists():
            used |= Store(str(link)).images()
        else:
            link.unlink(missing_ok=True)
    return used


def _asked(path: Path) -> float:
    """Return when somebody asked for an image or a layer the last time, in seconds of 1970."""
    return path.stat().st_mtime


def _is_fresh(path: Path) -> bool:
    return time.time() - _asked(path) < FRESH


def _counted(names: list[str]) -> str:
    images = sum(name.startswith("conpaas-") for name in names)
    parts = [(images, "image"), (len(names) - images, "layer")]
    return " and ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in parts if n)
