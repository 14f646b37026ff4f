"""The hook by which backups come to the pages of services that make some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show the backups, and when they are made by themselves."""
    from conpaas.features.backups.frontend import panels

    return panels(service)
