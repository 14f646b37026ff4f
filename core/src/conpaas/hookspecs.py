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
    from conpaas.director.config import DirectorConfig
    from conpaas.director.director import Director
    from conpaas.director.models import Machine, User
    from conpaas.director.users import Caller
    from conpaas.frontend.page import Page
    from conpaas.manager.base import Node, ServiceManager
    from conpaas.manager.place import ApplicationPlace
    from conpaas.periodic import Periodic
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
def conpaas_permit(director: Director, user: Caller, operation: Operation) -> str | None:
    """Say why this call is refused, or return None (director, before it carries a call out).

    To refuse with another status than 403, raise the error.  Of what is public nobody is asked:
    there is no user.
    """


@hookspec
def conpaas_api() -> list[type]:  # type: ignore[empty-body]
    """Return declarations of objects that users call (director, command line, frontend).

    One whose ``object`` is there already (``user``, say) adds its operations to that object.
    """


@hookspec
def conpaas_director_objects() -> list[type]:  # type: ignore[empty-body]
    """Return the classes that carry out what ``conpaas_api`` declares (director).

    Each derives from :class:`conpaas.director.objects.ApiObject` and from its declaration.
    """


@hookspec
def conpaas_machines_wanted(director: Director, machines: list[Machine]) -> None:
    """React to machines that shall be, all of one application, or raise to refuse (director).

    Called in the transaction that notes them: what is refused leaves no trace.
    """


@hookspec
def conpaas_machines_gone(director: Director, machines: list[Machine]) -> None:
    """React to machines that are noted as gone, in the transaction that notes it (director).

    One whose ``public_key`` is None never joined.  One may be told of more than once.
    """


@hookspec
def conpaas_user_created(config: DirectorConfig, user: User, credit: int | None) -> None:
    """React to a new user, in the transaction that creates it (director, ``cps-director``).

    ``credit``: what an administrator gives; None means as for everybody who registers.
    """


@hookspec
def conpaas_balance(director: Director, user: int) -> int | None:
    """Return the credit that a user has left, None for one who is not charged (director)."""


@hookspec
def conpaas_notices(director: Director, user: int) -> list[str]:  # type: ignore[empty-body]
    """Return what a user must be told on every page and at every command (director)."""


@hookspec
def conpaas_periodic() -> list[Periodic]:  # type: ignore[empty-body]
    """Return what the director's worker does again and again (director)."""


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
def conpaas_pages() -> list[Page]:  # type: ignore[empty-body]
    """Return pages beside the derived ones (frontend)."""


@hookspec
def conpaas_panels(service: Any) -> list[Panel]:  # type: ignore[empty-body]
    """Return panels for the page of a service (frontend)."""


@hookspec
def conpaas_image(image: Image) -> Image:  # type: ignore[empty-body]
    """Return what every machine carries beside ``image`` (image builder)."""
