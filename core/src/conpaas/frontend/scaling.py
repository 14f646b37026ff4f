"""How many nodes each role has and shall have, and what that difference means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.frontend.looks import count
from conpaas.schema import from_text
from conpaas.service_type import Role

#: Between the roles that one node plays, in a row of ``list_nodes``; the first is its own.
SEPARATOR = ", "


@dataclass(frozen=True)
class RoleCount:
    """A role with its nodes.

    Args:
        role: Which.
        nodes: Those that are there for it, as ``list_nodes`` tells them.
        hosts: Nodes of other roles that play it too, for want of such.
        wanted: How many there shall be, as somebody typed it.
    """

    role: Role
    nodes: tuple[Any, ...]
    hosts: tuple[Any, ...]
    wanted: str

    @property
    def elsewhere(self) -> str:
        """Where the role is played while no node is there for it alone; empty when one is."""
        if self.nodes or not self.hosts:
            return ""
        host = self.hosts[0]
        return f"for now on the {host.machine_role}, {host.agent_id}"


@dataclass(frozen=True)
class Change:
    """What is to be done: nodes of a role more, or fewer; those that come are first."""

    more: Mapping[str, int] = field(default_factory=dict)
    fewer: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.more or self.fewer)

    @property
    def removed(self) -> str:
        """In words: ``2 backend nodes and 1 web node``."""
        return _words(self.fewer)


@dataclass(frozen=True)
class Plan:
    """What a change would do; or why it would be refused.

    Args:
        counts: How many nodes there will be more or fewer, and what they cost.
        moves: What else changes, as the service's manager tells.
        refusal: In the manager's words.
    """

    counts: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    refusal: str = ""


def roles_of(node: Any) -> list[str]:
    """Return the roles that a node plays, that of its machine first."""
    return str(node.role).split(SEPARATOR)


def by_role(
    roles: Sequence[Role], nodes: Sequence[Any], wanted: Mapping[str, str] | None = None
) -> list[RoleCount]:
    """Return each role with its nodes; by default there shall be as many as there are."""
    found = []
    for role in roles:
        own = tuple(node for node in nodes if node.machine_role == role.name)
        hosts = tuple(node for node in nodes if role.name in roles_of(node)[1:])
        text = (wanted or {}).get(role.name, str(len(own)))
        found.append(RoleCount(role, own, hosts, text))
    return found


def change_of(counts: Sequence[RoleCount], was: Mapping[str, str]) -> Change:
    """Return the difference between what is wanted and what is there.

    Args:
        counts: Of the roles that can be changed.
        was: How many there were when somebody said what is wanted, where it is known.

    Raises:
        InvalidError: That is no number, or there are other nodes by now.
    """
    more: dict[str, int] = {}
    fewer: dict[str, int] = {}
    for one in counts:
        role, there = one.role.name, len(one.nodes)
        number = from_text(one.wanted.strip() or "0", int, role)
        if number < 0:
            raise InvalidError(f"{role}: there cannot be {number} nodes")
        if was.get(role, "") not in ("", str(there)):
            raise InvalidError(
                f"there are {there} {role} nodes by now, not {was[role]}: say again how many "
                "there shall be"
            )
        if number > there:
            more[role] = number - there
        elif number < there:
            fewer[role] = there - number
    return Change(more, fewer)


def plan(change: Change, manager: Any, *, charged: bool) -> Plan:
    """Ask a service's manager what a change would do.

    Args:
        change: What is wanted.
        manager: The stub of the manager.
        charged: Whether the nodes cost credit.
    """
    if not change:
        return Plan()
    first = {"more": dict(change.more)} if change.more else {"fewer": dict(change.fewer)}
    try:
        moves = tuple(_sentence(text) for text in manager.plan_nodes(**first))
    except ConPaaSError as error:
        if error.status in (401, 500):
            raise
        return Plan(refusal=_sentence(error.message))
    counts = []
    if change.more:
        cost = _cost(sum(change.more.values()), "more", charged)
        counts.append(f"{_words(change.more, 'more')}{cost}.")
    if change.fewer:
        cost = _cost(sum(change.fewer.values()), "less", charged)
        told = f"{_words(change.fewer, 'fewer')}{cost}."
        counts.append(f"After that {told} This is asked for again." if change.more else told)
    return Plan(tuple(counts), moves)


def _cost(machines: int, which: str, charged: bool) -> str:
    return f": {count(machines, 'credit')} an hour {which}" if charged else ""


def _words(counts: Mapping[str, int], which: str = "") -> str:
    kind = f"{which} " if which else ""
    return " and ".join(count(number, f"{kind}{role} node") for role, number in counts.items())


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
