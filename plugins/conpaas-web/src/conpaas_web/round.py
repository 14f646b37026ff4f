"""One time of bringing a web service to where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conpaas.manager.base import Node
from conpaas_web.goal import Goal
from conpaas_web.topology import Topology


@dataclass
class Round:
    """One time of settling.

    Args:
        goal: Where to.
        now: Who shall carry what.
        before: Who carried what: for each part the addresses of its nodes by their ids.
        strict: Whether the first failure ends it.
        deaf: Ids of nodes that did not answer: they are left alone where it is not strict.
        failures: What failed and was passed over.
        are_copied: Whether what is kept is where it has to be.
    """

    goal: Goal
    now: Topology
    before: Mapping[str, Mapping[str, str]]
    strict: bool
    deaf: frozenset[str] = frozenset()
    failures: list[str] = field(default_factory=list)
    are_copied: bool = True

    def hearing(self, nodes: Sequence[Node]) -> list[Node]:
        """Return those that can be asked."""
        return [node for node in nodes if node.id not in self.deaf]
