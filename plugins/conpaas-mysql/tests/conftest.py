"""What the tests of databases share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conpaas import features
from conpaas.plugins import Plugins
from conpaas.testing import Cluster
from conpaas_mysql.rehearsal import RehearsalPlugin, Stage
from conpaas_mysql.testing import Databases, Node
from conpaas_mysql.theatre import Theatre


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


@pytest.fixture(scope="module")
def members(place: Path) -> Iterator[list[Node]]:
    """Two databases of one cluster, for all tests of a module."""
    databases = Databases(place)
    try:
        databases.grow(2)
        yield databases.nodes
    finally:
        databases.close()


@pytest.fixture
def stage() -> Stage:
    """What the agents of a rehearsal share."""
    return Stage()


@pytest.fixture
def theatre(stage: Stage) -> Iterator[Theatre]:
    """A rehearsed service that was not started; two clusters, or a lost write, must never be."""
    plugins = Plugins(rehearsal=RehearsalPlugin(stage), **features.modules())
    with Cluster(plugins) as cluster:
        yield Theatre(cluster, stage)
    assert stage.world.wrong == []
    assert stage.wrong == []
