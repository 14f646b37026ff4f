"""What the tests of variables share: a service type whose nodes are told them."""

import pytest
from inside import Inside

from conpaas import hookimpl, jobs
from conpaas.agent.base import ServiceAgent
from conpaas.api import Applications
from conpaas.errors import AgentError, InvalidError
from conpaas.features.environment import plugin
from conpaas.features.environment.manager import EnvironmentManager
from conpaas.plugins import Plugins
from conpaas.rpc import Progress, expose
from conpaas.service import Role, Service
from conpaas.testing.cluster import Cluster


class ListeningAgent(ServiceAgent):
    """Has an environment."""

    @expose()
    def take(self, values: dict[str, str]) -> None:
        """Take the variables, unless one of them breaks the program."""
        if complaint := values.get("BREAK"):
            raise AgentError(f"line 3: BREAK={complaint!r} cannot be parsed")
        self.store["values"] = values


class ListeningManager(EnvironmentManager[ListeningAgent]):
    """Tells its nodes the variables."""

    def on_start(self, nodes):
        """Tell the nodes."""
        yield from self._tell(nodes)

    def put_environment(self):
        """Tell the nodes again."""
        self.store["puts"] = self.store.get("puts", 0) + 1
        yield from self._tell(self.nodes)

    def _tell(self, nodes):
        values = self.environment
        yield Progress(10, "telling the nodes")
        self.ask_all(lambda agent: agent.take(values), nodes)
        self.note_environment(values)

    def check_variable(self, name):
        """Refuse one."""
        if name == "RADIO":
            raise InvalidError("RADIO is our own")

    @expose()
    def announce(self, values: dict[str, str]) -> None:
        """Publish."""
        self.publish(values)


class Listening:
    """The plugin."""

    @hookimpl
    def conpaas_service(self):
        """Return the service type."""
        return Service(
            name="listening", title="Listening", manager=ListeningManager, agent=ListeningAgent,
            roles=(Role("node", "Listens", replace_lost=True),),
        )  # fmt: skip


class Application(Inside):
    """An application with two services with variables; the first runs on two nodes."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.service = cluster.service("listening", self.aid)
        self.other = cluster.service("listening", self.aid)
        self.run(self.service.start())
        self.run(self.service.add_nodes(nodes={"node": 1}))

    @property
    def host(self):
        return self.manager.host(1)

    def is_job(self):
        return jobs._present.get()

    def told(self):
        """Return what all nodes have; they have the same."""
        found = [agent.agent.store["values"] for agent in self.cluster.agents(self.aid, 1)]
        assert all(values == found[0] for values in found), found
        return found[0]

    def rows(self):
        return [(row.name, row.value, row.source) for row in self.service.list_env()]

    def stop_and_start(self):
        applications = self.cluster.api(Applications)
        self.run(applications.stop(application=self.aid))
        self.run(applications.start(application=self.aid))


@pytest.fixture
def plugins():
    return Plugins(listening=Listening(), environment=plugin)


@pytest.fixture
def app(plugins):
    with Cluster(plugins) as cluster:
        yield Application(cluster)
