"""The values that a plugin returns: what its service is and which classes carry it out."""

from __future__ import annotations

import functools
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from conpaas.errors import PluginError
from conpaas.service_type import Image, Role, ServiceType

if TYPE_CHECKING:
    from conpaas.agent.base import ServiceAgent
    from conpaas.manager.base import ServiceManager

__all__ = ["Image", "Panel", "Role", "Service"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Service(ServiceType):
    """A service type with the classes that carry it out.

    Each is given as ``"package.module:Class"``, so that a process which does not need it does not
    import it: agents need no manager.  The class itself will do, too.

    Args:
        manager: Directs a service's nodes, on its application's manager.
        agent: Runs on each node.
    """

    manager: str | type[ServiceManager[Any]]
    agent: str | type[ServiceAgent]

    @functools.cached_property
    def manager_class(self) -> type[ServiceManager[Any]]:
        """The class that directs nodes, imported when it is first asked for.

        Raises:
            PluginError: There is none.
        """
        from conpaas.manager.base import ServiceManager

        return _found(self.manager, ServiceManager)  # type: ignore[type-abstract]

    @functools.cached_property
    def agent_class(self) -> type[ServiceAgent]:
        """The class that runs on nodes, imported when it is first asked for.

        Raises:
            PluginError: There is none.
        """
        from conpaas.agent.base import ServiceAgent

        return _found(self.agent, ServiceAgent)


def _found(where: str | type[T], base: type[T]) -> type[T]:
    try:
        found = pkgutil.resolve_name(where) if isinstance(where, str) else where
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"{where!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{where!r} is no {base.__name__}")
    return found


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
