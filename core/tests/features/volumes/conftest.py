"""What the tests of volumes share: a service type whose nodes may have some."""

import sqlite3

import pytest

from conpaas import hookimpl
from conpaas.director.volumes_model import Volume
from conpaas.errors import AgentError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.features.volumes.manager import VolumeManager
from conpaas.plugins import Plugins
from conpaas.rpc import expose
from conpaas.service import Role, Service
from conpaas.testing.cluster import Cluster


class StoringAgent(VolumeAgent):
    """Says what it has when it is started."""

    @expose()
    def begin(self) -> list[str]:
        """Return the volumes that are mounted."""
        return self.list_mounted_volumes()


class StoringManager(VolumeManager[StoringAgent]):
    """Notes what its nodes have when they are started."""

    def on_start(self, nodes):
        """Ask the nodes; one that shall have a volume of its own gets it."""
        if self.store.get("own"):
            for node in nodes:
                yield from self.volumes.ensure(node, f"own-{node.role}-{node.position}", 8)
        if self.store.get("broken"):
            raise AgentError("the node burns")
        had = self.ask_all(lambda agent: agent.begin(), nodes)
        self.store["begun"] = [*self.store.get("begun", []), *had]

    @expose(reads=True)
    def get_begun(self) -> list[list[str]]:
        """Return what the nodes had, when they were started, in order."""
        return self.store.get("begun", [])


class Storing:
    """The plugin."""

    @hookimpl
    def conpaas_service(self):
        """Return the service type."""
        return Service(
            name="storing",
            title="Storing",
            summary="Keeps things.",
            manager=StoringManager,
            agent=StoringAgent,
            roles=(
                Role("node", "Keeps things", replace_lost=True),
                Role("keeper", "Keeps them for ever"),
            ),
        )


class Shop:
    """A running service with volumes, and short ways to use it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.aid = cluster.application()
        self.user = cluster.service("storing", self.aid)
        cluster.run(self.user.start())

    def create(self, name="data", size=10, node=None):
        node = node or self.nodes()[0].agent_id
        return self.cluster.run(
            self.user.create_volume(vol_name=name, vol_size=size, agent_id=node)
        )

    def nodes(self):
        return self.user.list_nodes()

    def volumes(self):
        """Return what users see: (name, node, state) of each volume."""
        rows = self.user.list_volumes()
        return [(row.vol_name, row.agent_id, row.state) for row in rows]

    def add(self, **counts):
        self.cluster.run(self.user.add_nodes(nodes=counts or {"count": 1}))

    def remove(self, **counts):
        self.cluster.run(self.user.remove_nodes(nodes=counts or {"count": 1}))

    def restart_service(self):
        self.cluster.run(self.user.stop())
        self.cluster.run(self.user.start())

    @property
    def machine(self):
        """The manager's machine."""
        manager = self.cluster.manager(self.aid)
        return next(m for m in self.cluster.machines.values() if m.manager is manager)

    def restart(self):
        self.cluster.restart(self.machine)

    def idle(self):
        """Wait until the manager is there and no job is at work."""

        def there():
            try:
                return not self.cluster.manager(self.aid).runner.busy("service 1")
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(there)

    def seen(self):
        """Return what matters of the whole: for two runs to be compared."""
        rows = Volume.select().where(Volume.state != "gone").order_by(Volume.id)
        machines = self.cluster.provider.machines
        known = {(row.cloud_name, row.machine) for row in rows}
        there = {
            (v.name, v.machine and int(machines[v.machine].tags["conpaas-machine"]))
            for v in self.cluster.provider.volumes.values()
        }
        assert known == there, "the director's rows are not the cloud's volumes"
        mounted = {
            (name, node.role, node.position)
            for node in self.cluster.manager(self.aid).book.nodes(1)
            for name in self.machine_of(node.id).agent.agent.list_mounted_volumes()
        }
        return (
            self.cluster.state(self.aid, 1),
            [(row.name, row.state, row.role, row.position) for row in rows],
            mounted,
        )

    def machine_of(self, agent_id):
        return self.cluster.machine(int(agent_id.removeprefix("node-")))

    def path(self, agent_id, name="data"):
        """Return where a node has a volume."""
        return self.machine_of(agent_id).directory / "root/media" / name

    def in_cloud(self):
        """Return the volumes of the cloud: (name, machine) of each."""
        return sorted((v.name, v.machine) for v in self.cluster.provider.volumes.values())

    def states(self):
        """Return the states of the director's rows that are not gone."""
        return [row.state for row in Volume.select().where(Volume.state != "gone")]


@pytest.fixture
def plugins():
    """The service type, and nothing else."""
    return Plugins(storing=Storing())


@pytest.fixture
def shop(cluster: Cluster):
    """A running service whose only node has no volume yet."""
    return Shop(cluster)
