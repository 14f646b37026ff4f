"""The hook by which variables come to the pages of services that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show the variables, and where each comes from."""
    from conpaas.features.environment.frontend import panels

    return panels(service)
