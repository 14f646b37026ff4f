"""Startup scripts: run once on each machine that is created after they were set."""

import contextlib
import io

import pytest

from conpaas.errors import AgentError, InvalidError, NotFoundError, TooLargeError
from conpaas.manager.nodes import NodeState
from conpaas.rpc import Upload
from conpaas.scripts.processes import is_alive
from conpaas.scripts.runs import Run
from conpaas.state import State

NOTE = 'echo "here is $MY_ROLE"; echo once >> "$HOME/runs"\n'


def script(text):
    content = text if isinstance(text, bytes) else text.encode()
    return Upload(io.BytesIO(content), "my.sh", len(content))


def set_script(app, text):
    app.service.set_script(filename=script(text))


def runs(app):
    """Return how often each node has run the script."""
    found = []
    for node in app.nodes():
        file = app.cluster.machine(node.machine).directory / "root/root/runs"
        found.append(len(file.read_text().splitlines()) if file.exists() else 0)
    return found


def test_a_script_is_shown_replaced_and_removed(app):
    with pytest.raises(NotFoundError, match="service 1 has no startup script"):
        app.service.get_script()
    set_script(app, "echo one\n")
    set_script(app, "echo zwölf\n")
    assert app.service.get_script() == "echo zwölf\n"
    app.service.unset_script()
    for ask in (app.service.get_script, app.service.unset_script):
        with pytest.raises(NotFoundError):
            ask()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidError),
        (b" \n", InvalidError),
        (b"\xff\xfe", InvalidError),
        (b"\x7fELF\0\0", InvalidError),
        (b"x" * ((1 << 16) + 1), TooLargeError),
    ],
)
def test_what_is_no_script_is_refused_and_the_one_before_is_kept(app, content, error):
    set_script(app, NOTE)
    with pytest.raises(error, match=r"my\.sh"):
        set_script(app, content)
    assert app.service.get_script() == NOTE


def test_new_machines_run_it_once_before_anything_else(app):
    set_script(app, NOTE)
    app.run(app.service.start())
    app.run(app.service.add_nodes(nodes={"keeper": 1}))
    assert runs(app) == [1, 1]
    node, keeper = (n.id for n in app.nodes())
    assert "startup.log" in [log.filename for log in app.service.list_agent_logs(node)]
    assert app.service.get_agent_log(node, filename="startup.log") == "here is node\n"
    assert app.service.get_agent_log(keeper, filename="startup.log") == "here is keeper\n"
    app.run(app.service.stop())
    app.run(app.service.start())
    assert runs(app) == [1, 1]


def test_machines_that_are_there_already_do_not_run_it(running):
    app = running
    set_script(app, NOTE)
    app.run(app.service.add_nodes(nodes={"count": 1}))
    assert runs(app) == [0, 1]
    set_script(app, "echo another\n")
    app.manager.book.set_state(1, State.ERROR, "broken by a test")
    app.run(app.service.repair())
    assert runs(app) == [0, 1]
    assert app.service.get_agent_log(app.nodes()[1].id, filename="startup.log") == "here is node\n"


def test_a_node_where_it_fails_is_given_back_with_its_last_words(running):
    app = running
    set_script(app, 'echo "no such package"; exit 3\n')
    with pytest.raises(AgentError, match=r"return code 3; its last words:\nno such package"):
        app.run(app.service.add_nodes(nodes={"count": 2}))
    assert app.state is State.RUNNING
    assert len(app.nodes()) == 1
    assert len(app.cluster.provider.machines) == 2


def test_a_start_that_fails_by_it_can_be_repaired_when_it_is_mended(app):
    set_script(app, "exit 1\n")
    with pytest.raises(AgentError, match="return code 1 and said nothing"):
        app.run(app.service.start())
    assert app.state is State.ERROR
    assert len(app.cluster.provider.machines) == 1
    set_script(app, NOTE)
    app.run(app.service.repair())
    assert app.state is State.RUNNING
    assert runs(app) == [1]


def test_one_that_does_not_end_in_time_fails(app):
    app.manager.host(1).startup_time = 0
    set_script(app, "echo waiting; sleep 2\n")
    with pytest.raises(AgentError, match="it still runs after"):
        app.run(app.service.start())
    assert len(app.cluster.provider.machines) == 1


def test_an_agent_that_is_killed_does_not_run_it_twice(app):
    set_script(app, NOTE + 'while [ ! -e "$HOME/go" ]; do sleep 0.05; done\n')
    start = app.service.start()
    app.wait(lambda: app.nodes() and runs(app) == [1])
    machine = app.cluster.machine(app.nodes()[0].machine)
    app.cluster.restart(machine)
    (machine.directory / "root/root/go").touch()
    app.run(start)
    assert runs(app) == [1]


def test_a_manager_that_is_killed_meanwhile_waits_for_it_again(app):
    set_script(app, NOTE + 'while [ ! -e "$HOME/go" ]; do sleep 0.05; done\n')
    app.service.start()
    app.wait(lambda: app.nodes() and runs(app) == [1])
    app.restart()
    (app.cluster.machine(app.nodes()[0].machine).directory / "root/root/go").touch()
    app.wait(lambda: app.state is State.RUNNING)
    assert runs(app) == [1]
    assert "while" in app.service.get_script()


def test_a_lost_manager_leaves_the_script_to_the_next(app):
    from conpaas.director.sweep import Sweep

    set_script(app, NOTE)
    (machine,) = app.cluster.provider.machines
    app.cluster.provider.vanish(machine)
    Sweep(app.cluster.director).round()
    app.wait(lambda: app.manager is not None)
    assert app.service.get_script() == NOTE


WAIT = NOTE + 'while [ ! -e "$HOME/go" ]; do sleep 0.05; done\n'


def home(app, node):
    """Return the home directory on a node's machine; None when that is gone, or on its way."""
    machines = list(app.cluster.machines.values())
    found = [m for m in machines if m.number == node.machine]
    return found[0].directory / "root/root" if found else None


def at_it(app):
    """Return the nodes that have begun with the script."""
    homes = {node: home(app, node) for node in app.nodes(NodeState.READY)}
    return [node for node, place in homes.items() if place and (place / "runs").exists()]


def go_on(app):
    """Have the script end wherever it waits."""
    for node in at_it(app):
        (home(app, node) / "go").touch()


def vanish(app, node):
    """Have the machine of a node vanish from its cloud."""
    machines = app.cluster.machines
    app.cluster.provider.remove(next(i for i, m in machines.items() if m.number == node.machine))


def end(app):
    """Have the manager look at its nodes, as it does all the time, until the job is over."""

    def is_over():
        with contextlib.suppress(LookupError):  # of a manager that is on its way
            app.cluster.look()
            go_on(app)
            return not app.manager.runner.busy(app.manager.host(1).name)

    app.wait(is_over)


def test_a_machine_that_dies_in_its_script_is_replaced_and_the_service_starts(app):
    set_script(app, WAIT)
    app.service.start()
    app.wait(lambda: app.nodes() and runs(app) == [1])
    (lost,) = app.nodes()
    script = Run(home(app, lost).parent / "var/lib/conpaas/startup/startup.1").runner
    assert is_alive(script)
    vanish(app, lost)
    app.wait(lambda: not is_alive(script))
    end(app)
    assert app.state is State.RUNNING
    (node,) = app.nodes()
    assert node.id != lost.id and runs(app) == [1]
    assert len(app.cluster.provider.machines) == 2
    told = [change.reason for change in app.service.get_history()]
    assert f"{lost.id} ({lost.address}) is lost: it is replaced" in told


def test_the_machine_that_comes_instead_dies_in_its_script_too(app):
    set_script(app, WAIT)
    app.service.start()
    for _ in range(2):
        app.wait(lambda: app.cluster.look() or at_it(app))
        vanish(app, at_it(app)[0])
        app.wait(lambda: app.cluster.look() or not at_it(app))
    end(app)
    assert app.state is State.RUNNING
    assert runs(app) == [1]
    assert len(app.cluster.provider.machines) == 2


def test_the_manager_dies_after_a_machine_that_ran_its_script(app):
    set_script(app, WAIT)
    app.service.start()
    app.wait(lambda: app.nodes() and runs(app) == [1])
    vanish(app, app.nodes()[0])
    app.restart()
    end(app)
    assert app.state is State.RUNNING
    assert runs(app) == [1]
    assert len(app.cluster.provider.machines) == 2


def test_where_it_fails_on_a_machine_that_lives_the_start_fails_although_another_has_died(app):
    app.run(app.service.start())
    app.run(app.service.add_nodes(nodes={"count": 1}))
    app.run(app.service.stop())
    set_script(app, WAIT + '[ "$MY_ROLE" = nothing ]\n')
    app.service.start()
    app.wait(lambda: app.nodes() and runs(app) == [1, 1])
    vanish(app, app.nodes()[0])
    end(app)
    assert app.state is State.ERROR
    assert "return code 1" in [change.reason for change in app.service.get_history()][-1]
