"""The part of a web service that runs on the application's manager, whatever language it hosts."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from conpaas.errors import ConPaaSError, WrongStateError
from conpaas.features.code.archives import Contents
from conpaas.features.code.versions import CodeVersion
from conpaas.features.environment.manager import EnvironmentManager
from conpaas.features.monitoring.charts import Chart, Gauge, Quantile, Rate, Ratio
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.state import State
from conpaas_web import topology
from conpaas_web.agent import WebAgent
from conpaas_web.goal import Goal
from conpaas_web.settling import SettlingManager
from conpaas_web.topology import PROXY, Topology, first_first, placed
from conpaas_web.web_settings import (
    HealthPath,
    HealthStatus,
    KeptDirectories,
    Permalinks,
    WebConfig,
    WebSettings,
)

A = TypeVar("A", bound=WebAgent)
#: Nodes keep the active version and as many of those that were active before it: going back is quick.
_KEPT_BEFORE = 2
_HOLDS = (State.RUNNING, State.ADAPTING, State.ERROR)


@dataclass(frozen=True)
class Address:
    """Where the application is; ``others`` are the addresses of the other proxies."""

    url: str
    others: tuple[str, ...]


class WebManager(SettlingManager[A], EnvironmentManager[A], abc.ABC):
    """Directs the nodes of a service that hosts web applications.

    A part (proxy, web, backend) that has no node of its own is carried by the first proxy.

    Given to users, beside what all services with code have:
        ``get_address``, ``get_web_config``, ``set_web_config``; ``set_env``, ``unset_env``,
        ``list_env``.

    Must define:
        ``initial_code()`` and what :class:`~conpaas_web.settling.SettlingManager` says.

    May override:
        ``index_names``: files of which one answers for a directory.

    Given to you:
        ``change(goal)``: settle for another goal, or go back to the one before.
    """

    first_roles: ClassVar[tuple[str, ...]] = (PROXY,)
    index_names: ClassVar[tuple[str, ...]] = ("index.html",)

    # -- the nodes ----------------------------------------------------------------------------

    def roles_of(self, node: Node) -> tuple[str, ...]:
        """Return what a node carries."""
        return self.topology.parts(node) or (node.role,)

    def check_add(self, counts: dict[str, int]) -> None:
        """Refuse several proxies without nodes of their own for the other parts."""
        topology.check_add(self._there(), counts)

    def check_remove(self, counts: dict[str, int]) -> None:
        """Refuse to leave too few nodes of a role."""
        topology.check_remove(self._there(), counts)

    def foresee(self, more: dict[str, int], fewer: dict[str, int]) -> list[str]:
        """Return in sentences what will move."""
        return topology.foresee(self.topology, more, fewer)

    def choose_nodes(self, role: str, count: int) -> list[Node]:
        """Return the youngest nodes of a role; of the proxies those whose address is not known."""
        found = [node for node in self.nodes if node.role == role]
        ordered = first_first(found) if role == PROXY else found
        return ordered[::-1][:count]

    def on_start(self, nodes: list[Node]) -> Job[None]:
        """Bring all nodes to where they belong, and tell the address."""
        yield from scaled(self.settle(), 0, 99)
        if self.topology.proxies:
            yield Progress(99, f"the application is at {self._address().url}")

    def on_stop(self) -> Job[None]:
        """Forget who carried what."""
        self.store["placed"] = {}
        yield Progress(100, "the sessions are kept")

    def on_nodes_added(self, nodes: list[Node]) -> Job[None]:
        """Take new nodes in; where that fails, the others go on without them."""
        try:
            yield from self.settle()
        except ConPaaSError:
            yield from self.settle_anyhow(without=nodes)
            raise

    def on_nodes_leaving(self, nodes: list[Node]) -> Job[None]:
        """Tell the others first; then let those that leave finish what they are at."""
        yield from scaled(self.settle_anyhow(), 0, 60)
        yield from scaled(self.drain(nodes), 60, 100)

    def on_nodes_removed(self, nodes: list[Node]) -> Job[None]:
        """Have the others forget the nodes that are gone."""
        yield from self.settle_anyhow()

    def on_node_lost(self, node: Node) -> Job[None]:
        """Tell the others at once."""
        yield from self.settle_anyhow()

    def is_outdated(self) -> bool:
        """Whether nodes were told what is not true any more."""
        return not self.is_settled()

    def on_outdated(self) -> Job[None]:
        """Bring all nodes to where they belong now."""
        yield from self.settle()

    def _there(self) -> Counter[str]:
        return Counter(node.role for node in self.nodes)
