"""Build images for the local cloud in two layers, each made once and known by a hash.

The base is Debian with the packages of a recipe; it takes a minute.  An image is a copy of a base
(of hard links: it takes no space) with our code in a virtual environment at ``/opt/conpaas``; it
takes seconds.  Nobody writes to either once it has its name, as instances lie over them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from conpaas.errors import CloudError
from conpaas.images.code import Code
from conpaas.images.directory import UNFINISHED, Progress, building, note_layers, remove_tree
from conpaas.images.programs import run
from conpaas.images.recipe import SUITE, Recipe
from conpaas.images.sources import debian_sources
from conpaas.plugins import Plugins

#: Where images are kept when nobody says otherwise.
DIRECTORY = Path("/var/cache/conpaas/images")
#: Counts changes of this module that change what is built.
_VERSION = "3"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NO_DOCUMENTS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*/*/*",
    "path-exclude=/usr/share/man/man*/*",
)


def build_local_image(
    directory: Path | str = DIRECTORY,
    services: Iterable[str] = (),
    progress: Progress = lambda text: None,
    sources: Path | None = None,
) -> str:
    """Build the image that managers and agents of some service types run on, if need be.

    Args:
        directory: Where images are kept.
        services: The service types; their plugins are installed here.
        progress: Told what happens, a line at a time.
        sources: apt's sources of Debian; None takes those of this machine.

    Returns:
        The name of the image, which is a directory in ``directory``.

    Raises:
        NotFoundError: No plugin provides one of the service types.
        CloudError: A program failed; the end of what it printed is in the message.
    """
    directory, services = Path(directory), sorted(set(services))
    plugins = Plugins.installed(only=services)
    recipe, code = Recipe.of(services, plugins), Code.of(services)
    digest = hashlib.sha256(f"{_VERSION} {recipe.name} {code.digest}".encode()).hexdigest()
    name = f"conpaas-{digest[:12]}"
    with building(directory, progress) as lock:
        if (directory / name).exists():
            # It is what machines shall boot now, though others may have been made since.
            os.utime(directory / name)
            return name
        _make_base(directory, recipe, lock, progress, sources)
        progress(f"installing our code: {name}")
        with _unfinished(directory, name) as image:
            run(["cp", "-al", str(directory / recipe.name), str(image)], lock)
            libraries = _install(image, code, directory, lock, progress)
            note_layers(image, (recipe.name, libraries))
            image.rename(directory / name)
        os.utime(directory / name)
    return name


def build_base(
    directory: Path | str = DIRECTORY,
    recipe: Recipe | None = None,
    progress: Progress = lambda text: None,
    sources: Path | None = None,
) -> str:
    """Build a base image, without code of ours, if need be; return its name."""
    recipe = recipe or Recipe()
    with building(Path(directory), progress) as lock:
        _make_base(Path(directory), recipe, lock, progress, sources)
    return recipe.name


def _make_base(
    directory: Path, recipe: Recipe, lock: int, progress: Progress, sources: Path | None
) -> None:
    if (directory / recipe.name).exists():
        os.utime(directory / recipe.name)
        return
    packages = len(recipe.packages)
    progress(f"installing Debian {SUITE} with {packages} packages, some minutes: {recipe.name}")
    with _unfinished(directory, recipe.name) as base, tempfile.TemporaryDirectory() as scratch:
        given = Path(scratch, "debian.sources")
        given.write_text(sources.read_text() if sources else debian_sources(SUITE))
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
        command += [
            "--aptopt=APT::Install-Recommends false",
            f"--include={','.join(recipe.packages)}",
        ]
        command += [f"--dpkgopt={option}" for option in _NO_DOCUMENTS]
        for number, text in enumerate(recipe.scripts):
            script = Path(scratch, f"{number}.sh")
            script.write_text(text)
            command.append(f'--customize-hook=chroot "$1" /bin/sh -eu < {script}')
        run([*command, SUITE, str(base), str(given)], lock, line=_steps(progress))
        _finish(base)
        base.rename(directory / recipe.name)


def _finish(base: Path) -> None:
    # Whatever is installed later on a machine must not start by itself either.
    policy = base / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # The same number on every machine would be worse than none.
    (base / "etc/machine-id").write_text("")
    for directory in ("var/lib/apt/lists", "var/cache/apt", "var/log"):
        for path in (base / directory).rglob("*"):
            if path.is_file():
                path.unlink()


def _install(image: Path, code: Code, cache: Path, lock: int, progress: Progress) -> str:
    """Install our code; return the name of the set of libraries that it stands on."""
    pip = importlib.util.find_spec("pip")
    if pip is None or not pip.submodule_search_locations:
        raise CloudError(f"{sys.executable} has no pip: run it with -m ensurepip")
    scratch = image / "opt/scratch"
    (scratch / "own").mkdir(parents=True)
    libraries = code.make_wheels(scratch / "own", cache, lock, progress)
    shutil.copytree(libraries, scratch / "libraries")
    # The host's pip, run by the image's Python: the image needs none of its own.
    shutil.copytree(pip.submodule_search_locations[0], scratch / "pip")
    wheels = [f"/{path.relative_to(image)}" for path in sorted(scratch.glob("*/*.whl"))]
    environment = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root"}
    inside = ["chroot", str(image)]
    run([*inside, "/usr/bin/python3", "-m", "venv", "--without-pip", "/opt/conpaas"], lock)
    install = ["-m", "pip", "install", "--no-index", "--no-deps", "--no-cache-dir"]
    install += ["--root-user-action=ignore", "--disable-pip-version-check"]
    with_pip = {**environment, "PYTHONPATH": "/opt/scratch"}
    run([*inside, "/opt/conpaas/bin/python", *install, *wheels], lock, with_pip)
    shutil.rmtree(scratch)
    # Has stevedore note which plugins there are, where root finds it at every start of a machine.
    look = ["-P", "-c", "from conpaas.plugins import Plugins; Plugins.installed()"]
    run([*inside, "/opt/conpaas/bin/python", *look], lock, environment)
    return libraries.name


def _steps(progress: Progress) -> Callable[[str], None]:
    def line(text: str) -> None:
        # mmdebstrap's own steps begin so; the rest is apt's and dpkg's chatter.
        if text.startswith("I: ") and text.endswith("..."):
            progress(f"  {text[3:]}")

    return line


@contextlib.contextmanager
def _unfinished(directory: Path, name: str) -> Iterator[Path]:
    path = directory / f"{UNFINISHED}{name}"
    try:
        yield path
    finally:
        if path.exists():
            remove_tree(path)
