"""What goes into an image: packages and scripts, declared by core and by plugins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from conpaas.plugins import Plugins
from conpaas.service import Image

#: The release of Debian that machines run.
SUITE = "bookworm"
#: The version of Python that it brings.
PYTHON = (3, 11)
#: What our own servers need on every machine.
PACKAGES = (
    "ca-certificates",
    "curl",
    "e2fsprogs",
    "iproute2",
    "nginx-light",
    "procps",
    "python3",
    "s6",
    "tini",
)


@dataclass(frozen=True)
class Recipe:
    """What a base image is made of; the same recipe always has the same name.

    Args:
        packages: Debian packages, sorted.
        scripts: Shell scripts, run in the image after the packages are there.
    """

    packages: tuple[str, ...] = PACKAGES
    scripts: tuple[str, ...] = ()

    @classmethod
    def of(cls, services: Iterable[str], plugins: Plugins) -> Recipe:
        """Return the recipe of an image for some service types.

        Raises:
            NotFoundError: No plugin provides one of them.
        """
        images = [plugins.service(name).image for name in sorted(set(services))]
        images += plugins.hook.conpaas_image(image=Image(PACKAGES))
        packages = {*PACKAGES, *(package for image in images for package in image.packages)}
        scripts = dict.fromkeys(image.script for image in images if image.script)
        return cls(tuple(sorted(packages)), tuple(scripts))

    @property
    def name(self) -> str:
        """The name of the base image."""
        text = json.dumps({"suite": SUITE, **asdict(self)}, sort_keys=True)
        return f"base-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        """Return the recipe for people to read."""
        lines = [f"# {self.name}: Debian {SUITE}", *self.packages]
        for script in self.scripts:
            lines += ["# script", script.rstrip("\n")]
        return "\n".join(lines)
