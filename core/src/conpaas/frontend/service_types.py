"""What the pages know of service types: their operations, and those that core gives to all."""

from __future__ import annotations

from typing import Any

from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import Operation, operations
from conpaas.service_type import Role, ServiceType


def manager_class(plugins: Plugins, service_type: str) -> type[ServiceManager[Any]]:
    """Return the class that carries out the operations of a service type.

    A type that is not installed here still has what core gives to all services.
    """
    found = plugins.services.get(service_type)
    return ServiceManager if found is None else found.manager_class


def service_type(plugins: Plugins, name: str) -> ServiceType:
    """Return what people are told about a service type; one that is missing has one role."""
    found = plugins.services.get(name)
    return found or ServiceType(name=name, title=name, roles=(Role("node", ""),))


def service_operations(plugins: Plugins, name: str) -> dict[str, Operation]:
    """Return the operations of a service type that are for people, by name."""
    found = operations(manager_class(plugins, name))
    return {key: operation for key, operation in found.items() if not operation.hidden}
