"""What to type first, told by the service types that are installed."""

from __future__ import annotations

from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import operations
from conpaas.service import Service


def first_commands(plugins: Plugins) -> list[str]:
    """Return commands that bring a user from nothing to a service that answers."""
    commands = ['cps-tools application create "First app"', "cps-tools application start 1"]
    if plugins.services:
        service = min(plugins.services.values(), key=_plainness)
        question = next(iter(_questions(service)), "list_nodes")
        commands += [
            "cps-tools service get_types",
            f"cps-tools service add {service.name} 1",
            "cps-tools service start 1 1",
            f"cps-tools {service.name} {question} 1 1",
        ]
    return commands


def _plainness(service: Service) -> tuple[bool, int, str]:
    questions = _questions(service)
    return not questions, len(questions), service.name


def _questions(service: Service) -> list[str]:
    """Return what the service type can be asked that others cannot, without further arguments."""
    common = operations(ServiceManager)
    return [
        operation.name
        for operation in operations(service.manager_class).values()
        if operation.name not in common
        and operation.reads
        and not operation.hidden
        and not any(parameter.required for parameter in operation.parameters)
    ]
