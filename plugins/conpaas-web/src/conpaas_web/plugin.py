"""What all services that host web applications show on their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.service import Panel

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show where the application is, and how it is served."""
    from conpaas_web.panels import panels

    return panels(service)
