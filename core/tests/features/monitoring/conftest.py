"""What the tests of monitoring share: a service type whose nodes measure what they are told to."""

from typing import Annotated

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.features.monitoring.charts import Chart, Gauge, Rate
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import expose
from conpaas.service import Role, Service
from conpaas.testing.cluster import Cluster


class CountingAgent(ServiceAgent):
    """Says that it has counted what a test has set."""

    hits = 0.0
    load = 0.0
    broken = ""

    def collect(self):
        """Measure, and break where a test says."""
        yield from super().collect()
        hits = CounterMetricFamily("test_hits", "Hits.", labels=["code"])
        hits.add_metric(["ok"], self.hits)
        yield hits
        if self.broken:
            raise RuntimeError(self.broken)
        yield GaugeMetricFamily("test_load", "Load.", value=self.load)


class CountingManager(ServiceManager[CountingAgent]):
    """Has charts of its own."""

    broken = False

    def on_start(self, nodes):
        """Do nothing."""

    def charts(self):
        """Return hits, load, and what every service has."""
        if self.broken:
            raise RuntimeError("no charts today")
        return (
            Chart("Hits", "per second", (Rate("test_hits_total"),)),
            Chart("Load", "tasks", (Gauge("test_load", by="node"),)),
            *super().charts(),
        )

    @expose()
    def shout(self, word: Annotated[str, "What"]) -> str:
        """Answer."""
        return word.upper()


class Counting:
    """The plugin."""

    @hookimpl
    def conpaas_service(self):
        """Return the service type."""
        return Service(
            name="counting",
            title="Counting",
            summary="Counts.",
            manager=CountingManager,
            agent=CountingAgent,
            roles=(Role("node", "Counts", replace_lost=True), Role("other", "Counts too")),
        )


class Measured:
    """A running service of two nodes, and what can be seen of it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.aid = cluster.application("shop")
        self.service = cluster.service("counting", self.aid)
        cluster.run(self.service.start())
        cluster.run(self.service.add_nodes(nodes={"other": 1}))

    @property
    def agents(self):
        return [host.agent for host in self.cluster.agents(self.aid, 1)]

    @property
    def manager_machine(self):
        return next(m for m in self.cluster.machines.values() if m.manager is not None)

    def machine(self, node):
        return self.cluster.machine(int(node.removeprefix("node-")))

    def sample(self, *hits, times=1):
        """Sample, each node having counted so much more."""
        for _ in range(times):
            for agent, more in zip(self.agents, hits, strict=False):
                agent.hits += more
            self.cluster.sample()

    def rows(self, chart, **arguments):
        return {r.line: r for r in self.service.get_metrics(**arguments) if r.chart == chart}


@pytest.fixture
def plugins():
    """The counting service type, and core's features."""
    from conpaas import features

    return Plugins(counting=Counting(), **features.modules())


@pytest.fixture
def cluster(plugins):
    """A whole ConPaaS in this process."""
    with Cluster(plugins) as made:
        yield made


@pytest.fixture
def measured(cluster):
    """A running service of two nodes."""
    return Measured(cluster)
