"""The hook by which charts come to the pages of services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show what the nodes measure."""
    from conpaas.features.monitoring.frontend import panels

    return panels(service)
