"""The hooks of the PHP service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.service import Panel

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show the settings of PHP, and the switch that shows errors."""
    from conpaas_php.panels import panels

    return panels(service)
