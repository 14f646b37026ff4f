"""The part of a web service that runs on the application's manager, whatever language it hosts."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from conpaas.errors import ConPaaSError, WrongStateError
from conpaas.features.code.archives import Contents
from conpaas.features.code.versions import CodeVersion
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.state import State
from conpaas_web import topology
from conpaas_web.agent import WebAgent
from conpaas_web.charts import charts
from conpaas_web.goal import Goal
from conpaas_web.settling import SettlingManager
from conpaas_web.topology import PROXY
from conpaas_web.web_settings import (
    AskBackends,
    HealthPath,
    HealthStatus,
    KeptDirectories,
    Permalinks,
    PrivateDirectories,
    WebConfig,
    WebSettings,
)

if TYPE_CHECKING:
    from conpaas.features.monitoring.charts import Chart

A = TypeVar("A", bound=WebAgent)
#: So many of the versions that were active before stay on the nodes.
_KEPT_BEFORE = 2
_HOLDS = (State.RUNNING, State.ADAPTING, State.ERROR)


@dataclass(frozen=True)
class Address:
    """Where the application is; ``others`` are the addresses of the other proxies."""

    url: str
    others: tuple[str, ...]


class WebManager(SettlingManager[A], abc.ABC):
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
        ``change(goal, message)``: settle for another goal, or go back to the one before.
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

    def on_start(self, nodes: list[Node]) -> Job[None]:
        """Bring all nodes to where they belong, and tell the address."""
        yield from scaled(self.settle(), 0, 99)
        if self.topology.proxies:
            yield Progress(99, f"the application is at {self._address().url}")

    def on_stop(self) -> Job[None]:
        """Forget who carried what."""
        self.forget_places()
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

    # -- the code -----------------------------------------------------------------------------

    def put_code(self, version: CodeVersion, nodes: Sequence[Node]) -> Job[None]:
        """Bring all nodes to a version; back to the active one whatever is in the way."""
        yield from self.settle(
            replace(self.goal, version=version), strict=version.id != self.active_code.id
        )

    def check_enable(self, version: CodeVersion) -> None:
        """Refuse while there is no backend to try a version on."""
        if not self.topology.backends:
            raise WrongStateError(
                f"service {self.number} has lost the node that runs the code: enable "
                f"{version.id} when another has taken its place"
            )

    def codes_to_keep(self) -> list[str]:
        """Return the active version and those before it: going back is quick."""
        return [self.active_code.id, *self.codes_before[:_KEPT_BEFORE]]

    def note_code(self, contents: Contents) -> str:
        """Tell of an archive that has nothing to show at the top."""
        note = super().note_code(contents)
        if note or set(self.index_names) & set(contents.names):
            return note
        return f"There is no {' or '.join(self.index_names)} at its top: what answers for / ?"

    # -- given to users -----------------------------------------------------------------------

    @expose(reads=True)
    def get_address(self) -> Address:
        """Tell where the application is: its address stays until the service is stopped."""
        if self.state not in _HOLDS or not self.topology.proxies:
            raise WrongStateError(
                f"service {self.number} is {self.state} and has no address: start it"
            )
        return self._address()

    @expose(reads=True)
    def get_web_config(self) -> WebConfig:
        """Show how the application is served."""
        return WebSettings.kept_in(self.store).shown()

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
    )
    def set_web_config(
        self,
        permalinks: Permalinks = None,
        health_path: HealthPath = None,
        health_status: HealthStatus = None,
        kept_directories: KeptDirectories = None,
        private_directories: PrivateDirectories = None,
        ask_backends: AskBackends = None,
    ) -> Job[WebConfig]:
        """Set how the application is served; what is not given stays as it is.

        Kept directories are those of the code in which the application itself writes: all
        versions on a node share them.  With several backends each has its own.  In private
        directories nothing answers visitors: no file is served, no script runs.  A web node on
        another machine asks the backends for files that were not in the uploaded code.
        """
        settings = WebSettings.kept_in(self.store).changed(
            permalinks,
            health_path,
            health_status,
            kept_directories,
            private_directories,
            ask_backends,
        )
        goal = replace(self.goal, web=settings)
        yield from self.change(goal, "changing how the application is served")
        self.store["web_settings"] = settings.to_store()
        return settings.shown()

    def charts(self) -> tuple[Chart, ...]:
        """Return what proxies see, and the machines."""
        return (*charts(), *super().charts())

    # -- given to the service -----------------------------------------------------------------

    def change(self, goal: Goal, message: str) -> Job[None]:
        """Settle for another goal if the service runs; where that fails, go back and raise.

        It is the first step of its job, for it has to see the state of before.  The caller notes
        what is new afterwards: until then, the old is what counts.
        """
        runs = bool(self.nodes) if self.place.resuming else self.state is State.RUNNING
        yield Progress(0, message)
        if not runs:
            return
        try:
            yield from scaled(self.settle(goal), 0, 90)
        except ConPaaSError as error:
            yield Progress(90, f"going back to what was set before, because: {error}")
            yield from scaled(self.settle_anyhow(), 90, 100)
            raise

    # -- how it is done -----------------------------------------------------------------------

    def _address(self) -> Address:
        first, *others = [f"http://{node.address}/" for node in self.topology.proxies]
        return Address(first, tuple(others))

    def _there(self) -> Counter[str]:
        return Counter(node.role for node in self.nodes)
