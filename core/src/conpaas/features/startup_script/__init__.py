"""The page's part of startup scripts, which core gives to every service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: Any) -> list[Panel]:
    """Show the startup script."""
    from conpaas.features.startup_script.frontend import panels

    return panels(service)
