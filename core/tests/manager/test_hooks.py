"""Plugins that react to what happens: they are told, and what they break is their own."""

from conpaas import hookimpl
from conpaas.state import State


class Listener:
    def __init__(self):
        self.heard = []

    @hookimpl
    def conpaas_state_changed(self, before, after):
        self.heard.append((before, after))

    @hookimpl
    def conpaas_nodes_added(self, nodes):
        self.heard.append([node.id for node in nodes])


class Clumsy:
    @hookimpl
    def conpaas_state_changed(self, service, after):
        raise RuntimeError("oops")

    @hookimpl
    def conpaas_nodes_added(self, nodes):
        raise RuntimeError("oops")


def test_a_plugin_is_told_of_states_and_nodes(cluster):
    listener = Listener()
    cluster.plugins._add("listener", listener)
    cluster.run(cluster.service("simple").start())
    assert listener.heard == [
        (State.INIT, State.PROLOGUE),
        ["node-2"],
        (State.PROLOGUE, State.RUNNING),
    ]


def test_a_plugin_that_fails_keeps_no_service_from_its_life(cluster, caplog):
    cluster.plugins._add("clumsy", Clumsy())
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    cluster.run(service.stop())
    assert cluster.state(aid, 1) is State.STOPPED
    assert "plugin clumsy failed at conpaas_state_changed" in caplog.text
