"""Directs the databases and balancers: from whatever is there to where it belongs."""

from __future__ import annotations

from conpaas.features.volumes.manager import VolumeManager
from conpaas.manager.base import Node
from conpaas.rpc import Job
from conpaas_mysql.agent import MysqlAgent


class ClusterManager(VolumeManager[MysqlAgent]):
    """Keeps one cluster: two never arise, and what was acknowledged is never given up."""

    def on_start(self, nodes: list[Node]) -> Job[None]:
        """Bring all nodes to where they belong."""
        yield from self.settle()

    def settle(self) -> Job[None]:
        """Bring all nodes to where they belong; repeated, it does what is left."""
        raise NotImplementedError

    @property
    def databases(self) -> list[Node]:
        """The nodes of the role ``mysql`` that serve, oldest first."""
        return [node for node in self.nodes if node.role == "mysql"]

    @property
    def balancers(self) -> list[Node]:
        """The nodes of the role ``glb`` that serve, oldest first."""
        return [node for node in self.nodes if node.role == "glb"]

    def a_database(self) -> Node:
        """Return a database that takes queries, one that is no donor if possible.

        Raises:
            WrongStateError: None does.
        """
        raise NotImplementedError
