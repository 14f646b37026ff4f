"""What is told of adding and removing nodes before anything is done."""

from __future__ import annotations

from typing import Annotated, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.errors import InvalidError
from conpaas.manager.counts import check_room, check_there, counts_by_role, in_words
from conpaas.manager.startup import StartupManager
from conpaas.rpc import expose

A = TypeVar("A", bound=ServiceAgent)


class ScalingManager(StartupManager[A]):
    """Says whether nodes may be added or removed, and what else that would change."""

    @expose(reads=True, hidden=True)
    def plan_nodes(
        self,
        more: Annotated[dict[str, int] | None, "How many to add, by role"] = None,
        fewer: Annotated[dict[str, int] | None, "How many to remove, by role"] = None,
    ) -> list[str]:
        """Tell what would move where if nodes were added or removed, one sentence each.

        Raises:
            InvalidError: It would be refused; in the same words.
        """
        added = self._to_add(more) if more else {}
        removed = self._to_remove(fewer) if fewer else {}
        return self.foresee(added, removed)

    def check_add(self, counts: dict[str, int]) -> None:
        """Raise when these counts of nodes must not be added."""

    def check_remove(self, counts: dict[str, int]) -> None:
        """Raise when these counts of nodes must not be removed; the default keeps one node."""
        if sum(counts.values()) >= len(self.nodes):
            raise InvalidError(
                f"the service has {in_words(len(self.nodes))} and must keep one: stop the service "
                "to give up all"
            )

    def foresee(self, more: dict[str, int], fewer: dict[str, int]) -> list[str]:
        """Return what else would change with so many nodes more or fewer, one sentence each."""
        return []

    # -- core's own ---------------------------------------------------------------------------

    def _to_add(self, nodes: dict[str, int]) -> dict[str, int]:
        counts = counts_by_role(self.service, nodes, self.place.max_nodes, "add")
        if not self.place.resuming:
            check_room(counts, self.nodes, self.place.max_nodes)
            self.check_add(counts)
        return counts

    def _to_remove(self, nodes: dict[str, int]) -> dict[str, int]:
        counts = counts_by_role(self.service, nodes, self.place.max_nodes, "remove")
        if not self.place.resuming:
            check_there(counts, self.nodes)
            self.check_remove(counts)
        return counts
