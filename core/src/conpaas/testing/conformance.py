"""The tests that every service type passes.

A plugin inherits them::

    class TestHello(ServiceConformance):
        name = "hello"

They run the plugin's real manager and agents in one process, and the software that these start:
each machine has an address in 127.0.0.0/8 to listen at.  Where that needs more than this machine
has, override :meth:`ServiceConformance.cluster`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

from conpaas.errors import ConPaaSError, InvalidError, WrongStateError
from conpaas.plugins import GROUP, Plugins
from conpaas.rpc import Operation, Piece, operations
from conpaas.schema import json_schema
from conpaas.service import Service
from conpaas.state import State
from conpaas.testing.cluster import Cluster
from conpaas.testing.loopback import loopback_network


class ServiceConformance:
    """Inherit, set ``name``, and the service type is checked against the contract."""

    name: str

    @pytest.fixture
    def service(self) -> Service:
        """The service type, found as ConPaaS finds it."""
        return Plugins.installed(only=[self.name]).service(self.name)

    @pytest.fixture
    def cluster(self) -> Iterator[Cluster]:
        """A whole ConPaaS in this process, whose machines have addresses of this one."""
        with Cluster(Plugins.installed(only=[self.name]), subnet=loopback_network()) as made:
            yield made

    # -- what it declares ---------------------------------------------------------------------

    def test_its_command_line_is_called_after_it(self) -> None:
        """The entry point, the service type and the script ``cps-<name>`` have one name."""
        (plugin,) = [e for e in entry_points(group=GROUP) if e.name == self.name]
        assert plugin.dist is not None
        own = plugin.dist.entry_points.select(group="console_scripts")
        scripts = {script.name: script.value for script in own}
        assert scripts.get(f"cps-{self.name}") == "conpaas.cli.main:main"

    def test_it_says_what_it_is(self, service: Service) -> None:
        """People choose it by title and summary, and add nodes by its roles."""
        assert service.title
        assert service.summary.endswith(".")
        assert not service.default_role.fixed
        assert all(role.summary for role in service.roles)
        assert all(service.role(role) for role in service.manager_class.first_roles)

    def test_each_operation_is_described(self, service: Service) -> None:
        """Help, forms and reference are made from these lines."""
        for cls in (service.manager_class, service.agent_class):
            for operation in operations(cls).values():
                where = f"{cls.__name__}.{operation.name}"
                assert operation.summary.endswith("."), where
                for parameter in operation.parameters:
                    assert _help(operation, parameter.name), f"{where}: {parameter.name}"
                if not operation.is_download:
                    json_schema(operation.result)

    def test_what_can_be_followed_names_how(self, service: Service) -> None:
        """The operation to go on with takes the same, and what the piece before said."""
        offered = operations(service.manager_class)
        for operation in offered.values():
            if operation.follow:
                more = offered[operation.follow]
                names = [p.name for p in operation.parameters]
                assert [p.name for p in more.parameters] == [*names, "after"], operation.name
                assert more.result is Piece, operation.name
                assert more.reads, operation.name

    def test_its_image_script_is_shell(self, service: Service) -> None:
        """A script that does not parse would break the building of images."""
        if service.image.script is not None:
            subprocess.run(["sh", "-n"], input=service.image.script, text=True, check=True)

    # -- its life -----------------------------------------------------------------------------

    def test_it_starts_grows_shrinks_stops_and_starts_again(self, cluster: Cluster) -> None:
        """The whole life, with legal states, and progress that never falls."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        assert cluster.state(aid, 1) is State.INIT

        self._run(cluster, manager.start())
        first = len(manager.list_nodes())
        assert first >= 1
        self._run(cluster, manager.add_nodes(nodes={"count": 2}))
        assert len(manager.list_nodes()) == first + 2
        self._run(cluster, manager.remove_nodes(nodes={"count": 1}))
        assert len(manager.list_nodes()) == first + 1
        assert {node.state for node in manager.list_nodes()} == {"ready"}
        grown = sorted(node.machine_role for node in manager.list_nodes())
        self._run(cluster, manager.stop())
        assert manager.list_nodes() == []
        assert len(cluster.provider.machines) == 1
        self._run(cluster, manager.start())
        assert sorted(node.machine_role for node in manager.list_nodes()) == grown

        states = [change.state for change in manager.get_history()]
        assert states == [
            "INIT", "PROLOGUE", "RUNNING", "ADAPTING", "RUNNING", "ADAPTING", "RUNNING",
            "EPILOGUE", "STOPPED", "PROLOGUE", "RUNNING",
        ]  # fmt: skip

    def test_stopping_gives_every_machine_back(self, cluster: Cluster) -> None:
        """Only the manager's machine is left."""
        manager = cluster.service(self.name)
        cluster.run(manager.start())
        assert len(cluster.provider.machines) > 1
        cluster.run(manager.stop())
        assert len(cluster.provider.machines) == 1

    def test_a_wrong_state_is_refused(self, cluster: Cluster) -> None:
        """What cannot be done now says so, and changes nothing."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        with pytest.raises(WrongStateError, match="INIT"):
            manager.add_nodes(nodes={"count": 1})
        cluster.run(manager.start())
        with pytest.raises(WrongStateError, match="RUNNING"):
            manager.start()
        assert cluster.state(aid, 1) is State.RUNNING

    def test_wrong_counts_are_refused(self, cluster: Cluster) -> None:
        """Counts that mean nothing are refused before anything is done."""
        manager = cluster.service(self.name)
        cluster.run(manager.start())
        before = len(cluster.provider.machines)
        for counts in ({"count": -1}, {"count": 0}, {"count": 10**9}, {"no-such-role": 1}):
            with pytest.raises(InvalidError):
                manager.add_nodes(nodes=counts)
            with pytest.raises(InvalidError):
                manager.remove_nodes(nodes=counts)
        assert len(cluster.provider.machines) == before

    def test_an_unknown_argument_is_refused(self, cluster: Cluster) -> None:
        """A misspelt argument is an error, never ignored."""
        manager = cluster.service(self.name)
        with pytest.raises(InvalidError, match="no_such_argument"):
            manager.list_nodes(no_such_argument=1)

    # -- when things go wrong -----------------------------------------------------------------

    def test_a_cloud_that_refuses_leaves_nothing_behind(self, cluster: Cluster) -> None:
        """The provider's words reach the user; the service can be repaired."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        cluster.provider.fail_next("create_machine", "Quota exceeded for instances")
        with pytest.raises(ConPaaSError, match="Quota exceeded for instances"):
            cluster.run(manager.start())
        assert cluster.state(aid, 1) is State.ERROR
        assert len(cluster.provider.machines) == 1
        cluster.run(manager.repair())
        assert cluster.state(aid, 1) is State.RUNNING
        assert manager.list_nodes()

    def test_an_agent_that_does_not_answer_leaves_the_service_stoppable(
        self, cluster: Cluster
    ) -> None:
        """A node that is cut off never keeps the others, or the service, from stopping."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        cluster.run(manager.start())
        for node in cluster.manager(aid).book.nodes(1):
            cluster.cut(cluster.machine(node.machine))
        cluster.run(manager.stop())
        assert cluster.state(aid, 1) is State.STOPPED
        assert len(cluster.provider.machines) == 1

    def test_a_manager_that_is_killed_comes_back_with_its_nodes(self, cluster: Cluster) -> None:
        """Nodes, state and history are those of before."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        cluster.run(manager.start())
        before = manager.list_nodes(), manager.get_history()
        machine = next(m for m in list(cluster.machines.values()) if m.manager)
        cluster.restart(machine)
        assert (manager.list_nodes(), manager.get_history()) == before
        cluster.run(manager.add_nodes(nodes={"count": 1}))
        assert len(manager.list_nodes()) == len(before[0]) + 1

    def test_an_agent_that_is_killed_comes_back(self, cluster: Cluster) -> None:
        """Its node serves on."""
        aid = cluster.application()
        manager = cluster.service(self.name, aid)
        cluster.run(manager.start())
        for node in cluster.manager(aid).book.nodes(1):
            cluster.restart(cluster.machine(node.machine))
            assert manager.list_agent_logs(node.id)
        cluster.run(manager.add_nodes(nodes={"count": 1}))
        assert cluster.state(aid, 1) is State.RUNNING

    def _run(self, cluster: Cluster, job: Any) -> None:
        cluster.run(job)
        percents = [step.percent for step in cluster.steps]
        assert percents == sorted(percents)
        assert all(step.message for step in cluster.steps)


def _help(operation: Operation, name: str) -> str:
    parameter = next(p for p in operation.parameters if p.name == name)
    from conpaas.rpc import PerRole

    extras = getattr(parameter.hint.full, "__metadata__", ())
    return parameter.hint.help or next((e.help for e in extras if isinstance(e, PerRole)), "")
