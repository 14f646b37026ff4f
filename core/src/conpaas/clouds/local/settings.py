"""The settings of a local cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conpaas.clouds.local.driver import LocalSize

_SIZES = {
    "small": LocalSize(memory=512, cpus=1),
    "medium": LocalSize(memory=1024, cpus=1),
    "large": LocalSize(memory=2048, cpus=2),
    "xlarge": LocalSize(memory=4096, cpus=4),
}


@dataclass(frozen=True)
class LocalSettings:
    """The settings of a local cloud; the defaults do for the only one on a machine.

    Args:
        directory: Where its machines and volumes are kept; on ext4 or xfs.
        images: Where images are; several clouds may share it.
        image: The image to boot; empty takes the newest.
        bridge: The name of its bridge, at most 15 characters.
        subnet: The addresses of its machines; empty chooses some that nothing else uses.
        prefix: What the names of its machines, their links and cgroups begin with.
        size: The size of machines when nobody asks for another.
        sizes: The sizes to choose from.
        init: The first program of a machine, and its arguments: plain words without quotes.
    """

    directory: str = "/var/lib/conpaas/local"
    images: str = "/var/cache/conpaas/images"
    image: str = ""
    bridge: str = "conpaas0"
    subnet: str = ""
    prefix: str = "cp-"
    size: str = "small"
    sizes: Mapping[str, LocalSize] = field(default_factory=lambda: dict(_SIZES))
    init: str = "/usr/bin/tini -s -g -- /opt/conpaas/bin/conpaas-machine boot"
