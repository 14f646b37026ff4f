"""What a plugin may tell ConPaaS: every hook, a signature and a sentence each.

A question to one named service is a method of its class; a question to whoever is installed is a
hook here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from conpaas.agent.base import ServiceAgent
    from conpaas.cli.commands import Commands
    from conpaas.clouds.base import Cloud
    from conpaas.director.users import Caller
    from conpaas.manager.base import Node, ServiceManager
    from conpaas.manager.place import ApplicationPlace
    from conpaas.rpc import Operation
    from conpaas.service import Image, Panel, Service
    from conpaas.state import State

hookspec = pluggy.HookspecMarker("conpaas")


@hookspec
def conpaas_service() -> Service:  # type: ignore[empty-body]
    """Return the service type that this plugin provides (every process)."""


@hookspec
def conpaas_cloud() -> type[Cloud]:  # type: ignore[empty-body]
    """Return a kind of cloud that machines can come from (director)."""


@hookspec
def conpaas_permit(user: Caller, operation: Operation) -> str | None:
    """Say why this call is refused, or return None (director, before it carries a call out)."""


@hookspec
def conpaas_manager_started(manager: ApplicationPlace) -> None:
    """React to a manager that has started or come back, before it serves (manager)."""


@hookspec
def conpaas_nodes_added(service: ServiceManager[Any], nodes: list[Node]) -> None:
    """React to nodes that have joined a service (manager)."""


@hookspec
def conpaas_nodes_removed(service: ServiceManager[Any], nodes: list[Node]) -> None:
    """React to nodes that have left a service (manager)."""


@hookspec
def conpaas_state_changed(service: ServiceManager[Any], before: State, after: State) -> None:
    """React to a service's change of state (manager)."""


@hookspec
def conpaas_agent_started(agent: ServiceAgent) -> None:
    """Prepare this machine: its agent has started or come back, before it serves (agent)."""


@hookspec
def conpaas_commands(commands: Commands) -> None:
    """Add hand-written commands beside the derived ones (command line)."""


@hookspec
def conpaas_pages() -> list[Any]:  # type: ignore[empty-body]
    """Return pages beside the derived ones (frontend)."""


@hookspec
def conpaas_panels(service: Any) -> list[Panel]:  # type: ignore[empty-body]
    """Return panels for the page of a service (frontend)."""


@hookspec
def conpaas_image(image: Image) -> Image:  # type: ignore[empty-body]
    """Return what every machine carries beside ``image`` (image builder)."""
