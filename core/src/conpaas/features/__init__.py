"""Core's own cross-cutting features: plugins of the same hooks as everybody's."""

from __future__ import annotations

from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Return the features by name."""
    from conpaas.features import local_cloud, memory_cloud
    from conpaas.features.git import plugin as git

    return {"git": git, "local-cloud": local_cloud, "memory-cloud": memory_cloud}
