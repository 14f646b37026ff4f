"""What the tests of databases share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conpaas_mysql.testing import Databases


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that other users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="conpaas-test-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def databases(place: Path) -> Iterator[Databases]:
    """A cluster of databases that may be made, one for each test."""
    databases = Databases(place)
    yield databases
    databases.close()
