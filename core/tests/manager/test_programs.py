"""What a service runs and keeps on the machine of its manager; and the roles that nodes play."""

import socket
import sys

import pytest

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.api import Applications, Services
from conpaas.director.models import Service as Row
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.service import Role, Service
from conpaas.testing.cluster import Cluster

ECHO = """
import socket, sys
server = socket.create_server((sys.argv[1], 7070))
while True:
    server.accept()[0].sendall(open(sys.argv[2], "rb").read())
"""


class HomeManager(ServiceManager[ServiceAgent]):
    """Runs a program on its own machine, for its nodes; the oldest of them is also the cook."""

    def on_start(self, nodes):
        place = self.place
        place.directory.mkdir(parents=True, exist_ok=True)
        (place.directory / "greeting").write_text(f"service {self.number}")
        command = [sys.executable, "-c", ECHO, place.address, str(place.directory / "greeting")]
        place.supervisor.define("greeter", command)
        place.supervisor.start("greeter")

    def roles_of(self, node):
        return ("node", "cook") if node == self.nodes[0] else ("node",)


class Home:
    @hookimpl
    def conpaas_service(self):
        return Service(
            name="home", title="Home", manager=HomeManager, agent=ServiceAgent,
            roles=(Role("node", "Is there"), Role("cook", "Cooks")),
        )  # fmt: skip


@pytest.fixture
def home():
    """A cluster with services that run something on the manager's machine."""
    with Cluster(Plugins(home=Home()), subnet="127.77.0.0/16") as cluster:
        yield cluster


def greeting(cluster, aid=1):
    """Return what the program on the manager's machine says."""
    address = cluster.manager(aid).address
    said = []

    def asked():
        try:
            with socket.create_connection((address, 7070), timeout=5) as connection:
                said.append(connection.recv(100).decode())
        except ConnectionRefusedError:
            return False
        return True

    cluster.wait(asked)
    return said[0]


def manager_machine(cluster):
    return next(m for m in cluster.machines.values() if m.manager is not None)


def test_the_program_of_a_service_runs_at_the_managers_address_and_outlives_the_manager(home):
    home.run(home.service("home").start())
    assert home.manager(1).address.startswith("127.77.")
    assert greeting(home) == "service 1"
    pid = home.manager(1).host(1).supervisor.pid("greeter")
    home.restart(manager_machine(home))
    assert home.manager(1).host(1).supervisor.pid("greeter") == pid
    assert greeting(home) == "service 1"


def test_programs_of_two_services_are_two_and_each_sees_its_own(home):
    aid = home.application()
    home.service("home", aid)
    home.service("home", aid)
    for number in (1, 2):
        supervisor = home.manager(aid).host(number).supervisor
        supervisor.define("keeper", ["sleep", str(1000 + number)])
        supervisor.start("keeper")
        assert supervisor.names() == ["keeper"]
    pids = {home.manager(aid).host(number).supervisor.pid("keeper") for number in (1, 2)}
    assert None not in pids and len(pids) == 2
    assert manager_machine(home).supervisor.names() == ["service-1-keeper", "service-2-keeper"]


def test_a_service_that_is_stopped_runs_nothing_and_keeps_its_files(home):
    service = home.service("home")
    home.run(service.start())
    place = home.manager(1).host(1)
    home.run(service.stop())
    assert place.supervisor.names() == ["greeter"]
    assert not place.supervisor.is_running("greeter")
    assert (place.directory / "greeting").exists()
    home.run(service.start())
    assert greeting(home) == "service 1"


def test_nothing_is_left_of_a_service_that_is_removed(home):
    home.run(home.service("home").start())
    supervisor, directory = manager_machine(home).supervisor, home.manager(1).host(1).directory
    assert directory.exists()
    home.run(home.api(Services).remove(application=1, service=1))
    assert supervisor.names() == []
    assert not directory.exists()


def test_what_was_removed_while_the_manager_was_away_is_gone_when_it_comes_back(home):
    home.run(home.service("home").start())
    machine = manager_machine(home)
    directory = machine.manager.host(1).directory
    Row.delete().where(Row.application == 1).execute()
    home.restart(machine)
    assert machine.supervisor.names() == []
    assert not directory.exists()


def test_the_programs_end_with_the_managers_machine(home):
    home.run(home.service("home").start())
    supervisor = manager_machine(home).supervisor
    home.run(home.api(Applications).stop(application=1))
    assert not supervisor.is_running("service-1-greeter")


def test_a_node_is_listed_with_all_roles_that_it_plays_and_counted_by_its_own(home):
    service = home.service("home")
    home.run(service.start())
    home.run(service.add_nodes(nodes={"node": 1}))
    assert [node.role for node in service.list_nodes()] == ["node, cook", "node"]
    assert [node.machine_role for node in service.list_nodes()] == ["node", "node"]
    removed = home.run(service.remove_nodes(nodes={"node": 1}))
    assert [node.role for node in removed] == ["node"]
