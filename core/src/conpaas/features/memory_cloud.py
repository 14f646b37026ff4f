"""The cloud in memory, which comes with core for tests."""

from __future__ import annotations

from conpaas import hookimpl
from conpaas.clouds.base import Cloud


@hookimpl
def conpaas_cloud() -> type[Cloud]:
    """Return the class of the cloud in memory."""
    from conpaas.clouds.memory import MemoryCloud

    return MemoryCloud
