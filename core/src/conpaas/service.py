"""The values that a plugin returns: what its service is and which classes carry it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conpaas.agent.base import ServiceAgent
from conpaas.manager.base import ServiceManager
from conpaas.service_type import Image, Role, ServiceType

__all__ = ["Image", "Panel", "Role", "Service"]


@dataclass(frozen=True, kw_only=True)
class Service(ServiceType):
    """A service type with the classes that carry it out.

    Args:
        manager: Directs a service's nodes, on its application's manager.
        agent: Runs on each node.
    """

    manager: type[ServiceManager[Any]]
    agent: type[ServiceAgent]


@dataclass(frozen=True)
class Panel:
    """A part of a service's page, made by a plugin.

    Args:
        title: Above it.
        template: ``<plugin>/<file>`` of its ``templates`` directory; it also sees ``service``.
        values: What the template shows.
        operations: Those that it offers: the page does not list them again.
        live: It is shown anew when it changes; not for a panel in which people type.
        busy: Something in it changes by itself just now.
        order: Lower stands first: features have 10 and more; below 0 it stands above the nodes,
            for what people look at first.
    """

    title: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    live: bool = False
    busy: bool = False
    order: int = 0
