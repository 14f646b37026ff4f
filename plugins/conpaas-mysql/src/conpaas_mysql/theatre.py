"""A MySQL service that is rehearsed on a cluster, and short ways to use it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conpaas.errors import ConPaaSError
from conpaas.testing import theatre
from conpaas_mysql.rehearsal import Stage

if TYPE_CHECKING:
    from conpaas.testing import Cluster


@dataclass(frozen=True)
class Held:
    """Machines that do not boot yet.

    Args:
        asked: Set when one was asked for.
        may_boot: To be set by who holds them.
    """

    asked: threading.Event = field(default_factory=threading.Event)
    may_boot: threading.Event = field(default_factory=threading.Event)


class Theatre(theatre.Theatre[Stage]):
    """An application with one rehearsed service."""

    def __init__(self, cluster: Cluster, stage: Stage) -> None:
        self.world = stage.world
        self._power_off = cluster.provider.on_destroy
        cluster.provider.on_destroy = self._destroyed
        super().__init__(cluster, stage)
        self._numbers = itertools.count(1)

    # -- what users do ------------------------------------------------------------------------

    def start(self, mysql: int = 1, **more: int) -> None:
        """Start the service with so many databases in all, and balancers."""
        super().start(mysql=mysql - 1, **more)

    def write(self) -> bool:
        """Write something as a client; return whether it was acknowledged."""
        return self.stage.query(f"write-{next(self._numbers)}")

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
            self._break(address)

    def break_balancer(self) -> None:
        """Have the machine of the first balancer vanish from the cloud."""
        self._break(self.stage.balancers()[0][0])

    def hold_machines(self) -> Held:
        """Have machines that are asked for from now on boot only when they may."""
        provider, held = self.cluster.provider, Held()
        power_on = provider.on_create

        def later(*told: Any) -> None:
            def boot() -> None:
                held.may_boot.wait(60)
                power_on(*told)

            held.asked.set()
            threading.Thread(target=boot, daemon=True).start()

        provider.on_create = later
        return held

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

    def agents(self) -> list[Any]:
        """Return the living agents."""
        return [agent for agent in list(self.stage.agents.values()) if agent.place.service == 1]

    def primary(self) -> list[str]:
        """Return the names of the databases that take queries."""
        servers = list(self.world.servers.values())
        return sorted(s.name for s in servers if self.world.takes_queries(s.address))

    def volumes(self) -> list[str]:
        """Return the names of the volumes."""
        return sorted(volume.vol_name for volume in self.user.list_volumes())

    def seen(self) -> Any:
        """Return what matters of the whole, for two runs to be compared."""
        balanced = sorted(
            [server.name for server in part.servers] for _, part, _ in self.stage.balancers()
        )
        return self.state, sorted(self.roles().values()), self.primary(), balanced, self.volumes()

    def _break(self, address: str) -> None:
        machines = list(self.cluster.provider.machines.values())
        self.cluster.provider.remove(next(m.id for m in machines if m.address == address))

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
