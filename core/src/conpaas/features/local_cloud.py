"""The cloud on this machine, which comes with core."""

from __future__ import annotations

from conpaas import hookimpl
from conpaas.clouds.base import Cloud


@hookimpl
def conpaas_cloud() -> type[Cloud]:
    """Return the class of the local cloud."""
    from conpaas.clouds.local import LocalCloud

    return LocalCloud
