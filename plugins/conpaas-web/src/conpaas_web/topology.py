"""Which node carries which part of a web service, and what moves when nodes come and go.

A part without a node of its own is carried by the first proxy.  So the first separate backend
takes the backend off that proxy, and the last one that goes gives it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from conpaas.errors import InvalidError
from conpaas.manager.nodes import Node

PROXY: Final = "proxy"
WEB: Final = "web"
BACKEND: Final = "backend"
#: In the order in which requests pass them; also the roles of the machines.
PARTS: tuple[Literal["proxy", "web", "backend"], ...] = (PROXY, WEB, BACKEND)
#: What a backend runs beside the code for web nodes on other machines: it is no role of its own.
FILES: Final = "files"
#: All that nodes run, in the order in which requests pass it.
RUNNING: tuple[Literal["proxy", "web", "backend", "files"], ...] = (*PARTS, FILES)


@dataclass(frozen=True)
class Topology:
    """Who carries what; each part's nodes with the first one first.

    Args:
        proxies: Empty only while none is there: then nothing may be carried by anybody either.
        web: Serve files.
        backends: Run code.
    """

    proxies: tuple[Node, ...]
    web: tuple[Node, ...]
    backends: tuple[Node, ...]

    @staticmethod
    def of(nodes: Sequence[Node]) -> Topology:
        """Return who carries what among the nodes that serve."""
        # By position: who replaces the first proxy has its place, and mostly its address.
        proxies = _of_role(nodes, PROXY)
        return Topology(
            proxies,
            _of_role(nodes, WEB) or proxies[:1],
            _of_role(nodes, BACKEND) or proxies[:1],
        )

    def of_part(self, part: str) -> tuple[Node, ...]:
        """Return the nodes that carry a part."""
        return {PROXY: self.proxies, WEB: self.web, BACKEND: self.backends}[part]

    def parts(self, node: Node) -> tuple[str, ...]:
        """Return what a node carries, its own role first."""
        carried = [part for part in PARTS if node in self.of_part(part)]
        return tuple(sorted(carried, key=lambda part: part != node.role))

    @property
    def asked(self) -> tuple[Node, ...]:
        """The backends that web nodes may ask for files: none where one node carries both."""
        return () if self.web == self.backends else self.backends

    def runs(self, node: Node, asking: bool) -> tuple[str, ...]:
        """Return all that is to run on a node; web nodes ask backends, or do not."""
        return (*self.parts(node), *((FILES,) if asking and node in self.asked else ()))

    @property
    def carriers(self) -> tuple[Node, ...]:
        """The nodes that need the code: whoever serves files or runs code."""
        return tuple(dict.fromkeys((*self.web, *self.backends)))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All that carry anything."""
        return tuple(dict.fromkeys((*self.proxies, *self.carriers)))


def first_first(nodes: Collection[Node]) -> list[Node]:
    """Return nodes in the order of their positions."""
    return sorted(nodes, key=lambda node: (node.position, node.machine))


def check_add(there: Mapping[str, int], more: Mapping[str, int]) -> None:
    """Raise when these machines must not be added.

    Args:
        there: How many machines there are, by role.
        more: How many are asked for, by role.
    """
    after = {role: there.get(role, 0) + more.get(role, 0) for role in PARTS}
    lacking = [role for role in (WEB, BACKEND) if not after[role]]
    if more.get(PROXY) and after[PROXY] > 1 and lacking:
        options = " ".join(f"--{role} 1" for role in lacking)
        raise InvalidError(
            "Cannot add more proxy servers without at least one stand-alone 'web' node and one "
            f"stand-alone 'backend' node: add them first or at the same time ({options})"
        )


def check_remove(there: Mapping[str, int], fewer: Mapping[str, int]) -> None:
    """Raise when these machines must not be removed.

    Args:
        there: How many machines there are, by role.
        fewer: How many shall go, by role; no more than there are.
    """
    after = {role: there.get(role, 0) - fewer.get(role, 0) for role in PARTS}
    if fewer.get(PROXY) and after[PROXY] < 1:
        raise InvalidError(
            "Not enough 'proxy' nodes will be left: one must stay; stop the service to give up all"
        )
    for role in (WEB, BACKEND):
        if fewer.get(role) and after[role] < 1 < after[PROXY]:
            raise InvalidError(
                f"Not enough '{role}' nodes will be left: with {after[PROXY]} proxies one must "
                f"stay; remove {after[PROXY] - 1} of the proxies first or at the same time "
                f"(--proxy {after[PROXY] - 1 + fewer.get(PROXY, 0)})"
            )


def foresee(topology: Topology, more: Mapping[str, int], fewer: Mapping[str, int]) -> list[str]:
    """Return in sentences what will move when machines are added and removed.

    Args:
        topology: As it is.
        more: How many machines are added, by role.
        fewer: How many are removed, by role.
    """
    told = []
    for part in (WEB, BACKEND):
        own = sum(node.role == part for node in topology.of_part(part))
        after = own + more.get(part, 0) - fewer.get(part, 0)
        carrier = named(topology.of_part(part))
        if not own and after > 0:
            where = "a machine of its own" if after == 1 else f"{after} machines of its own"
            told.append(f"{part} moves from {carrier} to {where}")
        elif own and after <= 0:
            told.append(f"{part} moves from {carrier} to {named(topology.proxies[:1])}")
    return told


def moves(before: Mapping[str, Mapping[str, str]], now: Topology) -> list[str]:
    """Return in sentences what has another place than before.

    Args:
        before: For each part the addresses of its nodes by their ids, as :func:`placed` gives it.
        now: Who shall carry what.
    """
    told = []
    for part in PARTS:
        old, new = before.get(part, {}), placed(now).get(part, {})
        came = [f"{node} ({new[node]})" for node in new if node not in old]
        went = [f"{node} ({old[node]})" for node in old if node not in new]
        if came and went:
            told.append(f"{part} moves from {', '.join(went)} to {', '.join(came)}")
        elif came:
            told.append(f"{part} comes to {', '.join(came)}")
        elif went and new:
            told.append(f"{part} leaves {', '.join(went)}")
    return told


def placed(topology: Topology) -> dict[str, dict[str, str]]:
    """Return for each part the addresses of its nodes by their ids."""
    return {part: {n.id: n.address for n in topology.of_part(part)} for part in PARTS}


def addresses(nodes: Collection[Node]) -> tuple[str, ...]:
    """Return the addresses of nodes, sorted."""
    return tuple(sorted({node.address for node in nodes}))


def named(nodes: Sequence[Node]) -> str:
    """Return nodes as a sentence names them."""
    return ", ".join(f"{node.id} ({node.address})" for node in nodes) or "nowhere"


def _of_role(nodes: Sequence[Node], role: str) -> tuple[Node, ...]:
    return tuple(first_first([node for node in nodes if node.role == role]))
