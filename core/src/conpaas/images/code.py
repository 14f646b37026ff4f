"""Our own code for an image: which distributions, from where, and as wheels."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.requirements import InvalidRequirement, Requirement

import conpaas
from conpaas.errors import InvalidError
from conpaas.images.programs import run
from conpaas.images.recipe import PYTHON
from conpaas.plugins import GROUP

_CORE = "conpaas-core"
_NOT_CODE = {"__pycache__", "build", "dist", "tests"}
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Distribution:
    """A distribution of ours: built from ``source``, or installed by ``requirement``."""

    name: str
    requirement: str
    source: Path | None

    @property
    def digest(self) -> str:
        """A hash of everything that its wheel depends on."""
        total = hashlib.sha256(self.requirement.encode())
        for path in _code_files(self.source) if self.source else ():
            total.update(f"{path.relative_to(self.source or path)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    @property
    def given(self) -> str:
        """What pip is given."""
        return str(self.source or self.requirement)

    @property
    def is_built_here(self) -> bool:
        """Whether what its wheel is built with is installed: then nothing has to be fetched."""
        if self.source is None:
            return False
        try:
            text = (self.source / "pyproject.toml").read_text(encoding="utf-8")
            needed = tomllib.loads(text)["build-system"]["requires"]
            return all(_is_installed(Requirement(one)) for one in needed)
        except (FileNotFoundError, KeyError, tomllib.TOMLDecodeError, InvalidRequirement):
            return False  # pip knows what to do, or what to say


@dataclass(frozen=True)
class Code:
    """What is installed at ``/opt/conpaas`` of an image."""

    distributions: tuple[Distribution, ...]
    constraints: Path | None

    @classmethod
    def of(cls, services: Iterable[str]) -> Code:
        """Return core, the plugins of some service types, and what of ours they stand on.

        Raises:
            InvalidError: A plugin is not installed.
        """
        wanted = [_CORE, *(_distribution_of(name) for name in sorted(set(services)))]
        found: dict[str, Distribution] = {}
        while wanted:
            name = wanted.pop()
            if name not in found:
                found[name] = _distribution(name)
                wanted += _own_requirements(name)
        core = found[_CORE].source
        constraints = core.parent / "constraints.txt" if core else None
        return cls(
            tuple(found[name] for name in sorted(found)),
            constraints if constraints and constraints.exists() else None,
        )

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        total = hashlib.sha256(self._constraints_text.encode())
        for distribution in self.distributions:
            total.update(distribution.digest.encode())
        return total.hexdigest()

    def make_wheels(self, directory: Path, cache: Path, lock: int, progress: Progress) -> Path:
        """Make the wheels of our code and get those of its dependencies.

        Args:
            directory: Where our own go.
            cache: Where sets of dependencies are kept from one image to the next.
            lock: A file descriptor for the programs that run to inherit.
            progress: Told what happens.

        Returns:
            The directory with the dependencies.
        """
        pip = (sys.executable, "-m", "pip")
        progress(f"building {', '.join(one.name for one in self.distributions)}")
        make = [*pip, "wheel", "--no-deps", "--wheel-dir", str(directory)]
        here = [one.given for one in self.distributions if one.is_built_here]
        others = [one.given for one in self.distributions if not one.is_built_here]
        if here:
            # An environment for each of them would take ten times as long as the wheels.
            run([*make, "--no-build-isolation", *here], lock)
        if others:
            run([*make, *others], lock)
        own = sorted(directory.glob("*.whl"))
        dependencies = cache / f"wheels-{self._dependencies_digest(own)}"
        if dependencies.exists():
            os.utime(dependencies)
        else:
            progress("collecting the libraries")
            unfinished = cache / f".new-{dependencies.name}"
            options = ["--constraint", str(self.constraints)] if self.constraints else []
            if sys.version_info[:2] == PYTHON:
                command = ["wheel", "--wheel-dir", str(unfinished)]
            else:
                version = ".".join(map(str, PYTHON))
                command = ["download", "--python-version", version, "--only-binary", ":all:"]
                command += ["--dest", str(unfinished)]
            run([*pip, *command, *options, *map(str, own)], lock)
            for wheel in own:
                (unfinished / wheel.name).unlink(missing_ok=True)
            unfinished.rename(dependencies)
        return dependencies

    @property
    def _constraints_text(self) -> str:
        return self.constraints.read_text(encoding="utf-8") if self.constraints else ""

    def _dependencies_digest(self, wheels: list[Path]) -> str:
        total = hashlib.sha256(self._constraints_text.encode())
        for wheel in wheels:
            for path in importlib.metadata.Distribution.discover(path=[str(wheel)]):
                total.update(json.dumps(sorted(path.requires or [])).encode())
        return total.hexdigest()[:12]


def _distribution_of(service: str) -> str:
    for entry_point in importlib.metadata.entry_points(group=GROUP, name=service):
        if entry_point.dist is not None:
            return str(entry_point.dist.name)
    raise InvalidError(f"no plugin for {service} is installed: pip install conpaas-{service}")


def _distribution(name: str) -> Distribution:
    source = _source(name)
    if source is not None:
        return Distribution(name, name, source)
    return Distribution(name, f"{name}=={importlib.metadata.version(name)}", None)


def _source(name: str) -> Path | None:
    if name == _CORE:
        # Also when it runs from a checkout without having been installed.
        checkout = Path(conpaas.__file__).resolve().parents[2]
        return checkout if (checkout / "pyproject.toml").exists() else None
    origin = importlib.metadata.distribution(name).read_text("direct_url.json")
    url = urlparse(json.loads(origin)["url"]) if origin else None
    path = Path(unquote(url.path)) if url and url.scheme == "file" else None
    return path if path and path.is_dir() else None


def _is_installed(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _own_requirements(name: str) -> Iterator[str]:
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        match = re.match(r"[\w.-]+", requirement)
        if match is None or "extra ==" in requirement:
            continue
        try:
            if _source(match[0]) is not None:
                yield match[0]
        except importlib.metadata.PackageNotFoundError:
            continue


def _code_files(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source).parts
        hidden = any(part.startswith(".") or part in _NOT_CODE for part in inner)
        if path.is_file() and not hidden and not any(part.endswith(".egg-info") for part in inner):
            yield path
