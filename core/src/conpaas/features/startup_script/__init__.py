"""The page's part of startup scripts, which core gives to every service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView
    from conpaas.service import Panel


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show the startup script."""
    from conpaas.features.startup_script.frontend import panels

    return panels(service)
