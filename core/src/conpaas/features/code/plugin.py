"""The hook by which versions of code come to the pages of services that take code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show the versions of the code."""
    from conpaas.features.code.frontend import panels

    return panels(service)
