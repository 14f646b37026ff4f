"""The PHP service: hosts PHP applications on nodes that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.service import Image, Panel, Role, Service

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show the settings of PHP, and the switch that shows errors."""
    from conpaas_php.panels import panels

    return panels(service)


@hookimpl
def conpaas_service() -> Service:
    """Return the PHP service type."""
    return Service(
        name="php",
        title="PHP",
        summary="Hosts a PHP application, on as many machines as its visitors need.",
        manager="conpaas_php.manager:PhpManager",
        agent="conpaas_php.agent:PhpAgent",
        roles=(
            Role("backend", "Runs the PHP code", replace_lost=True),
            Role("web", "Serves the other files", replace_lost=True),
            Role(
                "proxy",
                "Takes the visitors' requests and shares them out",
                replace_lost=True,
                keep_address=True,
            ),
        ),
        image=Image(
            packages=(
                "libfcgi-bin",
                "nginx-light",
                "php-redis",
                *(
                    f"php8.2-{name}"
                    for name in (
                        "cli", "curl", "fpm", "gd", "intl", "mbstring", "mysql", "opcache", "xml",
                        "zip",
                    )
                ),
                "redis-server",
            )
        ),
    )  # fmt: skip
