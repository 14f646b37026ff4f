"""A manager may be killed at any moment: in the end all is as if nothing had happened."""

from conpaas.api import Services
from conpaas.manager.nodes import NodeState
from conpaas.state import State

ONE = {"count": 1}


def test_starting_and_stopping_survive_a_kill_at_every_write(app, walk):
    walk(app, lambda: app.run(app.service.start()), lambda: app.run(app.service.stop()))


def test_adding_and_removing_nodes_survive_a_kill_at_every_write(running, walk):
    app, counts = running, {"count": 1, "keeper": 1}
    walk(
        app,
        lambda: app.run(app.service.add_nodes(nodes=counts)),
        lambda: app.run(app.service.remove_nodes(nodes=counts)),
    )


def test_replacing_a_lost_node_survives_a_kill_at_every_write(running, walk):
    app = running
    app.run(app.service.add_nodes(nodes=ONE))

    def replace():
        lost = app.nodes()[0]
        app.cluster.provider.vanish(f"m-{number_of(app, lost)}")
        app.cluster.look()
        app.wait(lambda: lost.id not in [node.id for node in app.nodes()])
        app.idle()

    walk(app, replace)


def test_repairing_survives_a_kill_at_every_write(running, walk):
    app = running
    app.run(app.service.add_nodes(nodes={"keeper": 1}))

    def break_it():
        # A node of each kind that is not ready, and none that is: all there is to mend.
        nodes = app.nodes()
        app.manager.book.mark(nodes[:1], NodeState.LOST)
        app.manager.book.mark(nodes[1:2], NodeState.LEAVING)
        app.manager.book.mark(nodes[2:], NodeState.JOINING)
        app.manager.book.set_state(1, State.ERROR, "broken by a test")

    def repair():
        break_it()
        app.run(app.service.repair())

    walk(app, repair)


def number_of(app, node):
    """Return the number in the cloud's id of a node's machine."""
    (found,) = [m for m in app.cluster.machines.items() if m[1].number == node.machine]
    return found[0].removeprefix("m-")


def test_removing_a_service_survives_a_kill_at_every_write(running, dying, writes):
    app = running
    services = app.cluster.api(Services)
    for number in writes():
        (service,) = services.list()

        def remove(sid=service.sid):
            app.run(services.remove(application=app.aid, service=sid))

        died = dying(app, remove, number)
        if services.list():
            remove()  # the director was told that the manager is away: the user tries again
        assert app.manager.services == app.manager.book.services() == {}
        assert len(app.cluster.provider.machines) == 1
        assert services.list() == ()
        if not died:
            break
        added = services.add(service_type="simple", application=app.aid)
        app.run(app.cluster.service_stub("simple", app.aid, added.sid).start())
    assert number > 3


def test_being_killed_again_while_it_takes_up_changes_nothing(running, dying):
    app = running
    for number in range(2, 5):
        dying(app, lambda: app.run(app.service.add_nodes(nodes=ONE)), number)
        app.restart()
        app.idle()
    assert app.seen()[1] == ["node"] * 4
