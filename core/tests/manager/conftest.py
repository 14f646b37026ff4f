"""What the manager's tests share."""

import pytest
from inside import Inside

from conpaas.director.models import Machine
from conpaas.manager.nodes import NodeState


class Application(Inside):
    """An application with one simple service, and all that can be seen of it from everywhere."""

    def __init__(self, cluster, service="simple"):
        super().__init__(cluster)
        self.service = cluster.service(service, self.aid)

    @property
    def state(self):
        return self.cluster.state(self.aid, 1)

    def nodes(self, *states):
        return self.manager.book.nodes(1, *states)

    def machine_of(self, node):
        return self.cluster.machine(node.machine)

    def service_events(self):
        """Return what the service manager was called for, and for how many nodes."""
        return self.manager.host(1).store["events"]

    def seen_states(self):
        """Return the states of the nodes by id."""
        return {node.id: node.state for node in self.nodes()}

    def seen(self):
        """Return what matters of the whole, as numbers: for two runs to be compared."""
        living = Machine.select().where(Machine.state.in_(["wanted", "booting", "running"]))
        rows = {row.name: row for row in living}
        cloud = {m.name for m in self.cluster.provider.machines.values()}
        nodes = self.nodes()
        assert set(rows) == cloud, "the director's rows are not the cloud's machines"
        service_rows = {row.id for row in rows.values() if row.service}
        assert service_rows == {node.machine for node in nodes}, "machines are not nodes"
        assert all(node.state is NodeState.READY for node in nodes)
        roles = sorted(node.role for node in nodes)
        words = sorted(w.word for w in self.service.get_words()) if nodes else []
        return self.state, roles, words, sorted(row.service for row in rows.values())


@pytest.fixture
def app(cluster):
    """A running application with a simple service that has not been started."""
    return Application(cluster)


@pytest.fixture
def running(app):
    """An application whose simple service runs on one node."""
    app.run(app.service.start())
    return app
