"""What the tests of credits share: a cluster that charges, and users with little."""

from types import SimpleNamespace

import pytest

from conpaas.director.models import Application, Job, Machine, User
from conpaas.features import credits
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.rounds import charge_round
from conpaas.features.credits.director.tables import CreditEntry
from conpaas.plugins import Plugins
from conpaas.testing.cluster import Cluster


@pytest.fixture
def plugins(plugins):
    """The simple service type, and credits."""
    simple = plugins._manager.get_plugin("simple")
    return Plugins(simple=simple, credits=credits)


@pytest.fixture
def cluster(plugins):
    """A cluster whose user has ten credits."""
    with Cluster(plugins, credit=10) as made:
        yield made


@pytest.fixture
def ledger(cluster):
    """The director's ledger."""
    return Ledger(cluster.config)


@pytest.fixture
def charge(cluster):
    """Do a round."""
    return lambda: charge_round(cluster.director)


@pytest.fixture
def top_up(cluster, ledger):
    """Give the user credit."""

    def top_up(amount, username="test"):
        user = User.get(User.username == username)
        ledger.add(user, amount, "", "admin", cluster.clock())

    return top_up


@pytest.fixture
def lines():
    """Return the ledger's lines as (kind, machine, hour, amount), oldest first."""

    def lines(*kinds):
        rows = CreditEntry.select().order_by(CreditEntry.id)
        return [
            (row.kind, row.machine, row.hour, row.amount)
            for row in rows
            if not kinds or row.kind in kinds
        ]

    return lines


class Room:
    """Machines that are only in the books: asked for, joined and given back by hand."""

    def __init__(self, cluster, user=1):
        self.director = cluster.director
        self.user = user
        self.made = 0

    def application(self, name="app"):
        """Note an application that runs, or so it seems."""
        return Application.create(user=self.user, name=name, state="RUNNING")

    def want(self, application, count=1, joined=True, key=None):
        """Ask for machines."""
        self.made += 1
        request = key or f"request {self.made}"
        rows = self.director.room.want(
            application, 1, "simple", ["node"] * count, request, "memory"
        )
        if joined:
            self.join(rows)
        return rows

    def join(self, rows):
        """Have machines join."""
        Machine.update(state="running", public_key="key", address="127.9.9.9").where(
            Machine.id.in_([row.id for row in rows])
        ).execute()

    def destroy(self, rows):
        """Give machines back."""
        self.director.room.destroy(rows)


@pytest.fixture
def room(cluster):
    """Machines that are only in the books."""
    return Room(cluster)


@pytest.fixture
def idle(cluster):
    """Wait until the director has nothing to do."""

    def idle():
        cluster.wait(lambda: not Job.select().where(Job.active.is_null(False)).exists())

    return idle


@pytest.fixture
def operation():
    """Make something that looks like a declared operation."""
    return lambda costs: SimpleNamespace(costs=costs)
