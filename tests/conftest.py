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

#: Where tests run in parallel, each worker has a nutshell of its own.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NAME = f"e2e{WORKER}"
#: What needs no nutshell, and no browser that is disturbed by those of others.
ALONE = {
    f"tests/test_{name}.py"
    for name in (
        *("database_panels", "every_form", "hosting_panels", "installed_plugins", "layers"),
        *("load", "panels", "served_pages"),
    )
}
#: What the second nutshell of a run in parallel is for: as long, all in all, as the rest.
SECOND = {
    f"tests/test_{name}.py"
    for name in (*("accessibility", "browser", "documents", "git", "wordpress"),)
}
GROUPS = ("machines", "other machines")
#: Few tests that take long: at the end of a run nobody shall wait for one of them.
EARLY = tuple(
    f"plugins/conpaas-mysql/tests/test_{name}.py"
    for name in ("list_append", "balanced_cluster", "database_group", "mysql_conformance")
)


@pytest.fixture(scope="session")
def make_nutshell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Nutshell]]:
    """Returns a function that starts a nutshell; whatever happens, all of them are destroyed."""
    if os.geteuid() != 0:
        pytest.skip("starts real machines on this machine, for which it must be root")
    with contextlib.ExitStack() as at_end:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            at_end.enter_context(_alone())

        def make(name: str) -> Nutshell:
            nutshell = Nutshell(name, tmp_path_factory.mktemp(name))
            if nutshell.home.exists():
                nutshell.destroy()  # an earlier run was killed
            at_end.callback(nutshell.destroy)
            nutshell.start()
            return nutshell

        yield make


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Of two runs on this machine let one wait: nutshells have names.

    A lock on a directory leaves no file behind.
    """
    directory = os.open("/var/lib", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


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
    """Keep tests with machines together where tests run in parallel: they share a nutshell.

    There are as many such groups as workers that may wait for machines at once.  They go first:
    while they wait, the others compute.

    pytest-xdist's own groups do nothing with pytest 9 (it renames items, which pytest ignores).
    """
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def schedule(self) -> None:
            collected = next(iter(self.registered_collections.values()), ())
            if self.collection is None and any(self._split_scope(n) in GROUPS for n in collected):
                lock = contextlib.ExitStack()
                lock.enter_context(_alone())
                config.add_cleanup(lock.close)
            super().schedule()

        def _assign_work_unit(self, node: Any) -> None:
            for scope in (*GROUPS, *EARLY):
                if scope in self.workqueue:
                    self.workqueue.move_to_end(scope, last=False)
                    break
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if not file.startswith("tests/") or file in ALONE:
                return file
            return GROUPS[file in SECOND]

    return Together(config, log)
