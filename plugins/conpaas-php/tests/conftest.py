"""What the tests of PHP nodes share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conpaas.supervisor.process import ProcessSupervisor
from conpaas_php.testing import Site, new_address
from conpaas_web.parts import SessionStore
from conpaas_web.redis import Redis


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that other users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="conpaas-test-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def site(place: Path) -> Iterator[Site]:
    """A redis and whatever nodes are made; all of it ends with the module."""
    keeper = ProcessSupervisor(place / "redis-log", pause=0.05)
    store = SessionStore(new_address(), 6400, "pass word&?=%/#+'\"ä")
    redis = Redis(keeper, place / "sessions", store)
    redis.start()
    site = Site(place, store)
    yield site
    site.close()
    redis.leave()
    shutil.rmtree(place / "sessions")
