"""The hook by which volumes come to the pages of services whose nodes may have some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show the volumes, node by node."""
    from conpaas.features.volumes.frontend import panels

    return panels(service)
