"""How many nodes of which role somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence

from conpaas.errors import InvalidError
from conpaas.manager.nodes import Node
from conpaas.nearest import did_you_mean
from conpaas.service_type import ServiceType


def counts_by_role(
    service: ServiceType, given: dict[str, int], most: int, verb: str
) -> dict[str, int]:
    """Return how many nodes of which role are meant, none of them 0.

    Args:
        service: Whose roles.
        given: By role, or by ``count`` for the default role; nothing means one of that.
        most: How many nodes a service may have.
        verb: ``add`` or ``remove``, for the texts.

    Raises:
        InvalidError: There is no such role, it is not changed by hand, or the number is out of
            range.
    """
    counts: dict[str, int] = {}
    for name, count in given.items():
        role = service.default_role if name == "count" else service.role(name)
        if role is None:
            names = [role.name for role in service.roles if not role.fixed]
            raise InvalidError(
                f"a {service.name} service has no role {name[:60]!r}"
                f"{did_you_mean(name, [*names, 'count'])}"
            )
        if not 0 <= count <= most:
            raise InvalidError(f"{name}: {count} is out of range: 0 to {most} are allowed")
        if role.fixed and count:
            raise InvalidError(
                f"Cannot {verb} nodes with the role {role.name}: the service sees to them itself."
            )
        counts[role.name] = counts.get(role.name, 0) + count
    if not given:
        return {service.default_role.name: 1}
    counts = {role: count for role, count in counts.items() if count}
    if not counts:
        raise InvalidError(f"say how many nodes to {verb}: at least one")
    return counts


def check_room(counts: dict[str, int], nodes: Sequence[Node], most: int) -> None:
    """Raise when a service would have more nodes than it may."""
    wanted = len(nodes) + sum(counts.values())
    if wanted > most:
        raise InvalidError(f"the service would have {wanted} nodes: at most {most} are allowed")


def check_there(counts: dict[str, int], nodes: Sequence[Node]) -> None:
    """Raise when a service has fewer nodes of a role than are to be removed."""
    for name, count in counts.items():
        there = sum(node.role == name for node in nodes)
        if count > there:
            raise InvalidError(
                f"cannot remove {in_words(count)} with the role {name}: the service has {there}"
            )


def machines(count: int) -> str:
    """Return a number of machines in words."""
    return "1 machine" if count == 1 else f"{count} machines"


def in_words(count: int) -> str:
    """Return a number of nodes in words."""
    return "1 node" if count == 1 else f"{count} nodes"
