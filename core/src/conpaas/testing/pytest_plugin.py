"""Loaded by pytest wherever conpaas-core is installed; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conpaas.testing.cluster import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A whole ConPaaS in this process, with the installed plugins."""
    from conpaas.testing.cluster import Cluster

    with Cluster() as made:
        yield made
