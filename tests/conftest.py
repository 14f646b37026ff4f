"""Fixtures of the tests of the whole: a nutshell that runs, and its command line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import CommandLine, Nutshell, application

NAME = "e2e"
#: What needs no nutshell, and no browser that is disturbed by those of others.
ALONE = {
    f"tests/test_{name}.py"
    for name in (
        *("every_form", "hosting_panels", "installed_plugins", "layers", "load"),
        *("panels", "served_pages"),
    )
}


@pytest.fixture(scope="session")
def make_nutshell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Nutshell]]:
    """Returns a function that starts a nutshell; whatever happens, all of them are destroyed."""
    if os.geteuid() != 0:
        pytest.skip("starts real machines on this machine, for which it must be root")
    with contextlib.ExitStack() as at_end:
        # Of two runs on this machine one waits.  A lock on a directory leaves no file behind.
        alone = os.open("/var/lib", os.O_RDONLY | os.O_DIRECTORY)
        at_end.callback(os.close, alone)
        fcntl.flock(alone, fcntl.LOCK_EX)

        def make(name: str) -> Nutshell:
            nutshell = Nutshell(name, tmp_path_factory.mktemp(name))
            if nutshell.home.exists():
                nutshell.destroy()  # an earlier run was killed
            at_end.callback(nutshell.destroy)
            nutshell.start()
            return nutshell

        yield make


@pytest.fixture(scope="session")
def nutshell(make_nutshell: Callable[..., Nutshell]) -> Nutshell:
    """The nutshell that the tests share; it has a second cloud, and two that are no good.

    They are the local cloud again, or with another image or another first program, so that all
    their machines go with it.
    """
    made = make_nutshell(NAME)
    text = made.config.read_text()
    local = text[text.index("[clouds.local]") :]
    made.config.write_text(
        text
        + local.replace("local]", "mycloud]")
        + re.sub(r'image = ".*"', 'image = "conpaas-missing"', local).replace("local]", "empty]")
        + f'{local}init = "/bin/echo the disk is broken"\n'.replace("local]", "dying]")
    )
    made.ok("start")
    return made


@pytest.fixture(scope="session")
def cps(nutshell: Nutshell) -> CommandLine:
    """The command line of the nutshell's user."""
    return nutshell.cps


@pytest.fixture(scope="module")
def running(nutshell: Nutshell, request: pytest.FixtureRequest) -> Iterator[int]:
    """A running application for the tests of one module: its id."""
    with application(nutshell, Path(request.module.__file__).stem) as aid:
        yield aid


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what needs machines."""
    if "make_nutshell" in getattr(item, "fixturenames", ()):
        item.add_marker("machines")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests with machines together where tests run in parallel: they share a nutshell.

    pytest-xdist's own groups do nothing with pytest 9 (it renames items, which pytest ignores).
    """
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "tests" if file.startswith("tests/") and file not in ALONE else file

    return Together(config, log)
