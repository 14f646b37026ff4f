"""Core's own cross-cutting features: plugins of the same hooks as everybody's."""

from __future__ import annotations

import importlib
from types import ModuleType

#: Where they are.  By name, as plugins are found: what a feature stands on stands on plugins.
FEATURES = {
    "backups": "conpaas.features.backups.plugin",
    "code": "conpaas.features.code.plugin",
    "credits": "conpaas.features.credits",
    "environment": "conpaas.features.environment.plugin",
    "git": "conpaas.features.git.plugin",
    "local-cloud": "conpaas.features.local_cloud",
    "memory-cloud": "conpaas.features.memory_cloud",
    "monitoring": "conpaas.features.monitoring.plugin",
    "startup-script": "conpaas.features.startup_script",
    "volumes": "conpaas.features.volumes.plugin",
}


def modules() -> dict[str, ModuleType]:
    """Return the features by name."""
    return {name: importlib.import_module(where) for name, where in FEATURES.items()}
