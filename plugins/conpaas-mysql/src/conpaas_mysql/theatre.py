"""A MySQL service that is rehearsed on a cluster, and short ways to use it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from conpaas.errors import ConPaaSError, UnreachableError
from conpaas.state import State
from conpaas_mysql.rehearsal import Stage

if TYPE_CHECKING:
    from conpaas.testing import Cluster


class Theatre:
    """An application with one rehearsed service."""

    def __init__(self, cluster: Cluster, stage: Stage) -> None:
        self.cluster = cluster
        self.stage = stage
        self.world = stage.world
        self._power_off = cluster.provider.on_destroy
        cluster.provider.on_destroy = self._destroyed
        self.aid = cluster.application()
        self.user: Any = cluster.service("rehearsal", self.aid)
        self.told: list[str] = []
        self._numbers = itertools.count(1)

    # -- what users do ------------------------------------------------------------------------

    def run(self, job: Any) -> Any:
        """Run a job to its end, and note every word of it."""
        result = self.cluster.run(job)
        self.idle()
        number = self.manager.runner.latest(1)[0].id
        self.told = [step.message for step in self.manager.runner.report(number).steps]
        return result

    def start(self, mysql: int = 1, glb: int = 0) -> None:
        """Start the service, and add what more is wanted."""
        self.run(self.user.start())
        if mysql > 1 or glb:
            self.add(mysql=mysql - 1, glb=glb)

    def add(self, **counts: int) -> None:
        """Add nodes."""
        self.run(self.user.add_nodes(nodes=counts))

    def remove(self, **counts: int) -> None:
        """Remove nodes."""
        self.run(self.user.remove_nodes(nodes=counts))

    def write(self) -> bool:
        """Write something as a client; return whether it was acknowledged."""
        return self.stage.query(f"write-{next(self._numbers)}")

    def history(self) -> list[str]:
        """Return the words of the history."""
        return [change.reason for change in self.user.get_history()]

    def another(self) -> Any:
        """Return another service of the application, which was not started."""
        return self.cluster.service("rehearsal", self.aid)

    # -- what happens to machines -------------------------------------------------------------

    def address(self, name: str) -> str:
        """Return the address of a database, by its name."""
        return next(
            str(agent.place.address)
            for agent in self.agents()
            if agent.database_part and agent.database_part.name == name
        )

    def kill(self, *names: str, comes_back: bool = True) -> None:
        """Kill servers; their machines start them again, or not."""
        addresses = [self.address(name) for name in names]
        if not comes_back:
            self.stage.down |= set(addresses)
        for address in addresses:
            self.world.kill(address)

    def break_machines(self, *names: str) -> None:
        """Have machines vanish from the cloud, with all that runs on them."""
        for address in [self.address(name) for name in names]:
            machines = self.cluster.provider.machines.values()
            self.cluster.provider.remove(next(m.id for m in machines if m.address == address))

    def look(self, seconds: float = 5.0) -> None:
        """Have the manager ask its nodes, and do what it does then."""
        self.cluster.sample(seconds)
        self.cluster.look()
        self.idle()

    def settle(self, rounds: int = 10) -> None:
        """Have the manager look until it has nothing to do."""
        quiet = 0
        for _ in range(rounds):
            self.look()
            busy = self.host.manager.is_outdated() or self.host.nodes.lost()
            quiet = 0 if busy else quiet + 1
            if quiet == 3:
                return

    # -- looking inside -----------------------------------------------------------------------

    @property
    def manager(self) -> Any:
        """The application's manager."""
        return self.cluster.manager(self.aid)

    @property
    def host(self) -> Any:
        """The service, as its manager has it."""
        return self.manager.host(1)

    @property
    def managers_machine(self) -> Any:
        """The manager's machine."""
        return next(m for m in self.cluster.machines.values() if m.manager is not None)

    @property
    def state(self) -> State:
        """The service's state."""
        return self.cluster.state(self.aid, 1)

    def agents(self) -> list[Any]:
        """Return the living agents."""
        return [agent for agent in list(self.stage.agents.values()) if agent.place.service == 1]

    def nodes(self) -> dict[str, str]:
        """Return the roles of the nodes by their ids."""
        return {node.agent_id: node.role for node in self.user.list_nodes()}

    def primary(self) -> list[str]:
        """Return the names of the databases that take queries."""
        servers = list(self.world.servers.values())
        return sorted(s.name for s in servers if self.world.takes_queries(s.address))

    def volumes(self) -> list[str]:
        """Return the names of the volumes."""
        return sorted(volume.vol_name for volume in self.user.list_volumes())

    def machine(self, node: str) -> Any:
        """Return the machine of a node."""
        return self.cluster.machine(int(node.removeprefix("node-")))

    def idle(self) -> None:
        """Wait until no job is at work; while the manager is away, one may be."""

        def is_idle() -> bool:
            try:
                manager = self.manager
                return not any(manager.runner.busy(h.name) for h in manager.services.values())
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(is_idle)

    def is_killed(self, change: Callable[[], Any], step: int) -> bool:
        """Make a change, kill the manager at a step of it; return whether there was one."""
        at = len(self.stage.events) + step
        died: list[int] = []

        def die(number: int) -> None:
            if number == at and not died:
                died.append(number)
                self.cluster.restart(self.managers_machine)

        self.stage.before = die
        try:
            change()
        except UnreachableError:
            if not died:  # else it was before it could answer that the job has begun
                raise
        finally:
            self.stage.before = lambda number: None
        self.idle()
        return bool(died)

    def seen(self) -> Any:
        """Return what matters of the whole, for two runs to be compared."""
        balanced = sorted(
            [server.name for server in part.servers] for _, part, _ in self.stage.balancers()
        )
        return self.state, sorted(self.nodes().values()), self.primary(), balanced, self.volumes()

    def _destroyed(self, found: Any) -> None:
        self.world.kill(found.address)
        self.stage.down.discard(found.address)
        self.stage.agents.pop(found.address, None)
        self._power_off(found)


def tried(change: Callable[[], Any]) -> str:
    """Make a change; return why it failed, or nothing."""
    try:
        change()
    except ConPaaSError as error:
        return str(error)
    return ""
