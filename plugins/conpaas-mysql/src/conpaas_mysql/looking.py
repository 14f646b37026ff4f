"""What a manager sees of its cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from conpaas.errors import ConPaaSError, WrongStateError
from conpaas.features.volumes.manager import VolumeManager
from conpaas.kept_settings import from_store
from conpaas.manager.base import Node
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import Job, patiently
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.faults import Picture, name_of
from conpaas_mysql.noted import Noted
from conpaas_mysql.settings import MysqlConfig

MYSQL = "mysql"
GLB = "glb"
SETTINGS = "settings"  #: key of the store


class LookingManager(VolumeManager[MysqlAgent]):
    """Knows the nodes of a cluster.

    Given to you:
        ``databases``, ``balancers``, ``look()`` (the picture of all databases), ``a_database()``,
        ``config``, ``noted``.
    """

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self.noted = Noted(self.store)

    @property
    def databases(self) -> list[Node]:
        """The nodes of the role ``mysql`` that serve, by position."""
        return ordered(self.nodes, MYSQL)

    @property
    def balancers(self) -> list[Node]:
        """The nodes of the role ``glb`` that serve, by position."""
        return ordered(self.nodes, GLB)

    @property
    def config(self) -> MysqlConfig:
        """The settings."""
        return from_store(MysqlConfig, self.store.get(SETTINGS, {}))

    @property
    def cluster_name(self) -> str:
        """The name of the Galera cluster."""
        return f"conpaas-{self.place.application}-{self.number}"

    def look(self, without: Sequence[Node] = ()) -> Picture:
        """Ask all databases how they are, those that leave too."""
        gone = {node.id for node in without}
        leaving = ordered(self.place.nodes.leaving(), MYSQL)
        nodes = [n for n in [*self.databases, *leaving] if n.id not in gone]
        answers = self.ask_each(lambda agent: agent.get_database_status(), nodes)
        return Picture(
            nodes={name_of(node): node for node in nodes},
            statuses={name_of(n): a for n, a in answers if not isinstance(a, ConPaaSError)},
            silent={name_of(n): str(a) for n, a in answers if isinstance(a, ConPaaSError)},
        )

    def a_database(self) -> Node:
        """Return a database that takes queries, one that is no donor if possible.

        Raises:
            WrongStateError: None does.
        """
        picture = self.look(self.place.nodes.leaving())
        if not picture.ready:
            raise WrongStateError(
                f"no database of service {self.number} takes queries now: try again when one does"
            )
        # No donor; then the last one: the first is the writer, if there is one.
        best = min(
            picture.ready,
            key=lambda n: (picture.statuses[n].state != 4, -picture.nodes[n].position),
        )
        return picture.nodes[best]

    def run_on(self, node: Node, begin: Callable[[MysqlAgent], Job[None]]) -> Job[None]:
        """Run a job on one node; after a crash of the manager the agent may still be at it.

        Raises:
            AgentError: It failed; says on which node.
        """
        yield from self.run_all(lambda agent: patiently(lambda: begin(agent)), [node])


def ordered(nodes: Iterable[Node], role: str) -> list[Node]:
    """Return the nodes of a role by position."""
    return sorted((n for n in nodes if n.role == role), key=lambda n: n.position)
