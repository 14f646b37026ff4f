"""Services publish values; the others see them, and have their nodes told, whatever happens."""

import pytest

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.api import Applications, Services
from conpaas.errors import AgentError, InvalidError
from conpaas.manager.base import ServiceManager
from conpaas.manager.nodes import NodeState
from conpaas.manager.watch import Watch
from conpaas.plugins import Plugins
from conpaas.rpc import Progress, expose
from conpaas.service import Role, Service
from conpaas.state import State
from conpaas.testing.cluster import Cluster


class PeerAgent(ServiceAgent):
    """Remembers what it is told."""

    @expose()
    def tell(self, values: dict[str, str]) -> None:
        """Remember."""
        self.store["told"] = values

    @expose(reads=True)
    def recall(self) -> dict[str, str]:
        """Return it."""
        return dict(self.store.get("told", {}))


class PeerManager(ServiceManager[PeerAgent]):
    """Has its nodes know what the other services publish, and publishes what it is asked to."""

    def on_start(self, nodes):
        """Tell the nodes."""
        self._tell(nodes)

    def is_outdated(self):
        """Compare what they were told."""
        if self.store.get("clumsy"):
            raise RuntimeError("oops")
        return self.store.get("told") != self.published()

    def on_outdated(self):
        """Tell them again."""
        self.store["tries"] = self.store.get("tries", 0) + 1
        yield Progress(10, "telling")
        if self.store.get("stubborn"):
            raise AgentError("nobody listens")
        self._tell(self.nodes)

    @expose()
    def announce(self, values: dict[str, str]) -> None:
        """Publish."""
        self.publish(values)

    def _tell(self, nodes):
        values = self.published()
        self.ask_all(lambda agent: agent.tell(values), nodes)
        self.store["told"] = values


class Peer:
    @hookimpl
    def conpaas_service(self):
        return Service(
            name="peer", title="Peer", manager=PeerManager, agent=PeerAgent,
            roles=(Role("node", "Knows", replace_lost=True),),
        )  # fmt: skip


class Application:
    """Three services that publish; the first runs."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.aid = cluster.application()
        self.services = [cluster.service("peer", self.aid) for _ in range(3)]
        cluster.run(self.services[0].start())

    @property
    def host(self):
        return self.cluster.manager(self.aid).host(1)

    def told(self):
        """Return what the first service's nodes know."""
        return [agent.agent.recall() for agent in self.cluster.agents(self.aid, 1)]

    def look(self, until):
        def looked():
            self.cluster.look()
            return until()

        self.cluster.wait(looked)


@pytest.fixture
def app():
    with Cluster(Plugins(peer=Peer())) as cluster:
        yield Application(cluster)


def test_what_a_service_publishes_reaches_the_nodes_of_the_others(app):
    app.services[1].announce(values={"MYSQL_HOST": "10.0.0.7"})
    app.look(lambda: app.told() == [{"MYSQL_HOST": "10.0.0.7"}])
    app.cluster.wait(lambda: app.host.state() is State.RUNNING)
    reasons = [change.reason for change in app.services[0].get_history()]
    assert reasons[-2:] == ["bring_up_to_date", "bring_up_to_date done"]


def test_of_two_services_that_publish_the_same_the_later_one_wins(app):
    app.services[2].announce(values={"HOST": "third"})
    app.services[1].announce(values={"HOST": "second", "PORT": "2"})
    app.services[0].announce(values={"HOST": "first"})
    assert app.host.manager.published() == {"HOST": "third", "PORT": "2"}
    assert app.cluster.manager(app.aid).host(3).manager.published()["HOST"] == "second"


def test_publishing_again_replaces_what_was_published(app):
    app.services[1].announce(values={"ONE": "1", "TWO": "2"})
    app.services[1].announce(values={"TWO": "zwei"})
    assert app.host.manager.published() == {"TWO": "zwei"}


def test_what_cannot_be_a_variable_is_refused_and_what_was_published_stays(app):
    app.services[1].announce(values={"ONE": "1"})
    for values, why in (
        ({"1ST": "x"}, "cannot name a variable"),
        ({"LD_PRELOAD": "x"}, "which programs and libraries"),
        ({"HTTP_PROXY": "x"}, "what the visitor sends"),
        ({"NULL": "a\0b"}, "zero byte"),
        ({"BIG": "x" * 40_000}, "40000 bytes"),
        ({f"V{n}": "" for n in range(501)}, "501 variables"),
        ({f"V{n}": "x" * 30_000 for n in range(5)}, "bytes: at most"),
    ):
        with pytest.raises(InvalidError, match=why):
            app.services[1].announce(values=values)
    assert app.host.manager.published() == {"ONE": "1"}


def test_a_removed_service_publishes_nothing_and_the_others_are_told(app):
    app.services[1].announce(values={"ONE": "1"})
    app.look(lambda: app.told() == [{"ONE": "1"}])
    app.cluster.run(app.cluster.api(Services).remove(application=app.aid, service=2))
    app.look(lambda: app.told() == [{}])


def test_what_is_published_outlasts_the_managers_machine(app):
    app.services[1].announce(values={"ONE": "1"})
    app.cluster.wait(lambda: app.told() is not None)
    app.cluster.manager(app.aid).hand_over()
    machine = next(m for m in app.cluster.machines.values() if m.manager)
    app.cluster.restart(machine)
    app.look(lambda: app.told() == [{"ONE": "1"}])


def test_a_service_that_is_not_running_is_told_when_it_starts(app):
    app.services[1].announce(values={"ONE": "1"})
    app.cluster.run(app.services[2].start())
    assert [a.agent.recall() for a in app.cluster.agents(app.aid, 3)] == [{"ONE": "1"}]
    assert app.cluster.manager(app.aid).host(3).store.get("tries") is None


def test_a_failed_try_is_made_again_and_leaves_the_service_running(app):
    app.host.store["stubborn"] = True
    app.services[1].announce(values={"ONE": "1"})
    app.look(lambda: app.host.store.get("tries", 0) >= 2)
    app.host.store["stubborn"] = False
    app.look(lambda: app.told() == [{"ONE": "1"}])
    app.cluster.wait(lambda: app.host.state() is State.RUNNING)


def test_one_service_that_cannot_be_asked_keeps_no_other_from_it(app):
    app.cluster.run(app.services[1].start())
    app.host.store["clumsy"] = True
    app.services[2].announce(values={"ONE": "1"})
    app.look(lambda: app.cluster.manager(app.aid).host(2).store.get("tries"))


def test_a_node_that_replaces_a_lost_one_knows_what_was_published(app):
    app.services[1].announce(values={"ONE": "1"})
    app.look(lambda: app.told() == [{"ONE": "1"}])
    (node,) = app.host.nodes.ready()
    app.cluster.cut(app.cluster.machine(node.machine))
    app.look(lambda: node.id not in [n.id for n in app.host.nodes.all()])
    app.cluster.wait(lambda: app.host.state() is State.RUNNING)
    app.look(lambda: app.told() == [{"ONE": "1"}])
    assert {n.state for n in app.host.nodes.all()} == {NodeState.READY}


class SlowClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def idle(app):
    app.cluster.wait(lambda: not app.cluster.manager(app.aid).runner.busy("service 1"))


def test_without_news_a_failed_try_is_repeated_after_a_pause_and_with_news_at_once(app):
    manager, clock = app.cluster.manager(app.aid), SlowClock()
    object.__setattr__(manager.config.watch, "retry", 60.0)
    watch = Watch(manager, clock)
    app.host.store["stubborn"] = True
    app.services[1].announce(values={"ONE": "1"})
    watch.follow_up()
    idle(app)
    for _ in range(3):
        watch.follow_up()
    assert app.host.store["tries"] == 1
    clock.now = 61.0
    watch.follow_up()
    idle(app)
    assert app.host.store["tries"] == 2
    app.services[1].announce(values={"ONE": "eins"})
    watch.follow_up()
    idle(app)
    assert app.host.store["tries"] == 3


def test_a_watch_that_runs_is_woken_by_what_is_published(app):
    manager = app.cluster.manager(app.aid)
    assert manager.config.watch.every == 3600.0, "it must not be its round"
    watch = Watch(manager)
    watch.start()
    try:
        for value in ("1", "2", "3"):
            app.services[1].announce(values={"ONE": value})
            app.cluster.wait(lambda value=value: app.told() == [{"ONE": value}])
    finally:
        watch.stop()


def test_after_the_application_was_stopped_and_started_the_values_are_still_there(app):
    app.services[1].announce(values={"ONE": "1"})
    app.cluster.run(app.cluster.api(Applications).stop(application=app.aid))
    app.cluster.run(app.cluster.api(Applications).start(application=app.aid))
    app.cluster.run(app.services[0].start())
    assert app.told() == [{"ONE": "1"}]
