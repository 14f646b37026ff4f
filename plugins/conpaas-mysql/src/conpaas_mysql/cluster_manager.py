"""Directs the databases and balancers of a service, and tells users where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from conpaas.api import VolumeInfo
from conpaas.errors import AgentError, ConPaaSError, InvalidError, WrongStateError
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.state import STARTABLE
from conpaas_mysql.faults import name_of, position_of
from conpaas_mysql.looking import GLB, MYSQL, ordered
from conpaas_mysql.parts import MYSQL_PORT, USER, data_volume
from conpaas_mysql.settings_manager import SettingsManager


@dataclass(frozen=True)
class Address:
    """Where the service is reached; ``command`` is a client's, which asks for the password.

    ``others`` are the addresses of its other balancers, or databases if it has no balancer.
    """

    host: str
    port: int
    user: str
    command: str
    others: tuple[str, ...]


class ClusterManager(SettingsManager):
    """Keeps one cluster: two never arise, and what was acknowledged is never given up."""

    # -- the nodes ----------------------------------------------------------------------------

    def check_first(self) -> None:
        """Refuse to leave databases out: each comes back to its data, of which one is newest."""
        if len(self.noted.members) > 1:
            raise InvalidError(
                f"service {self.number} cannot start with its first nodes only: each of its "
                "databases comes back to its data. Remove databases when it runs"
            )

    def check_remove(self, counts: dict[str, int]) -> None:
        """Refuse to leave no database, or none that takes queries."""
        leaving = {node.id for node in self.choose_nodes(MYSQL, counts.get(MYSQL, 0))}
        staying = [node for node in self.databases if node.id not in leaving]
        if not staying:
            raise InvalidError(
                f"Not enough '{MYSQL}' nodes will be left: the service must keep one. Stop it to "
                "give up all its machines"
            )
        picture = self.look()
        if leaving and not any(picture.takes_queries(name_of(node)) for node in staying):
            names = ", ".join(picture.label(name_of(node)) for node in staying)
            raise WrongStateError(
                f"{names} would stay, and takes no queries now: wait until it does"
            )

    def foresee(self, more: dict[str, int], fewer: dict[str, int]) -> list[str]:
        """Return in sentences what else would change."""
        told = []
        there = Counter(node.role for node in self.nodes)
        databases = there[MYSQL] + more.get(MYSQL, 0) - fewer.get(MYSQL, 0)
        balancers = there[GLB] + more.get(GLB, 0) - fewer.get(GLB, 0)
        if balancers and not there[GLB]:
            told.append("The service gets another address, that of the balancer.")
        if there[GLB] and not balancers:
            told.append("The service gets another address, that of its first database.")
        if fewer.get(MYSQL):
            told.append(
                "The volumes of the databases that go are deleted: the others have the data."
            )
        if databases > 1 and not balancers:
            told.append(
                "Nobody uses the other databases unless the application does: add a glb, which "
                "shares connections out."
            )
        if databases == 2 and databases != there[MYSQL]:
            told.append(
                "When one of two databases is lost, queries fail for some seconds, until the "
                "manager has made sure that it is gone; of three the others go on by themselves."
            )
        return told

    def on_start(self, nodes: list[Node]) -> Job[None]:
        """Bring all nodes to where they belong, and tell the address."""
        yield from scaled(self.settle(mends=True), 0, 99)
        if node := self.address_node():
            yield Progress(99, f"the databases are at {node.address}, port {MYSQL_PORT}")

    def on_stop(self) -> Job[None]:
        """Stop balancers, then databases one after the other: the data stays on its volumes."""
        self.unpublish()
        self.noted.started = {}
        self.noted.away = ()
        for node, answer in self.ask_each(lambda agent: agent.leave_balancer(), self.balancers):
            if isinstance(answer, ConPaaSError):
                self.log.warning("%s does not stop balancing: %s", node.id, answer)
        yield from self.stop_in_order(self.databases[::-1])

    def on_nodes_added(self, nodes: list[Node]) -> Job[None]:
        """Take new nodes in; where that fails, the others go on without them."""
        try:
            yield from self.settle()
        except ConPaaSError:
            added = {node.id for node in nodes}
            if any(node.id not in added for node in self.databases):
                yield from self.settle_anyhow(without=nodes)
            raise

    def on_nodes_leaving(self, nodes: list[Node]) -> Job[None]:
        """Have the balancers drain databases that leave, and stop these when nobody uses them."""
        databases = ordered(nodes, MYSQL)[::-1]
        yield from scaled(self.drain(databases), 0, 40)
        yield from scaled(self.settle_anyhow(), 40, 60)
        try:
            yield from scaled(self.stop_in_order(databases), 60, 95)
        except ConPaaSError as error:
            # Their machines go next: then they do not run any more, whatever they say.
            yield Progress(95, f"going on, although: {error}")
        for node, answer in self.ask_each(
            lambda agent: agent.leave_balancer(), ordered(nodes, GLB)
        ):
            if isinstance(answer, ConPaaSError):
                self.log.warning("%s does not stop balancing: %s", node.id, answer)

    def on_nodes_removed(self, nodes: list[Node]) -> Job[None]:
        """Have the others forget the nodes that are gone, and delete what these leave behind."""
        yield from self.settle_anyhow()

    def on_node_lost(self, node: Node) -> Job[None]:
        """Make sure that it does not run any more, then have the others go on without it."""
        yield from scaled(self.give_up_machine(node), 0, 40)
        # Whoever begins this replaces all that are lost next.
        settling = self.settle_anyhow(answered=self.place.nodes.lost())
        yield from scaled(settling, 40, 100)

    def on_outdated(self) -> Job[None]:
        """Look what happened, and bring all nodes to where they belong."""
        if failures := (yield from self.settle(strict=False)):
            raise AgentError("; ".join(failures))

    # -- the volumes --------------------------------------------------------------------------

    def equip(self, nodes: Sequence[Node]) -> Job[None]:
        """Bring nodes their volumes, whatever is noted of them."""
        machines = {node.machine for node in nodes}
        noted = self.noted.mounted.items()
        self.noted.mounted = {name: at for name, at in noted if at not in machines}
        yield from super().equip(nodes)

    def volumes_came(self, pairs: Sequence[tuple[VolumeInfo, Node]]) -> None:
        """Note the volumes of databases that need not be brought again."""
        came = {
            volume.name: node.machine
            for volume, node in pairs
            if node.role == MYSQL and volume.name == data_volume(self.number, node.position)
        }
        self.noted.mounted = {**self.noted.mounted, **came}

    def check_parting(self, volume: VolumeInfo) -> None:
        """Refuse to take data from databases, or the last copy of it from the service."""
        names = {data_volume(self.number, position_of(name)): name for name in self.noted.members}
        name = names.get(volume.name)
        if name is None:
            return
        if self.state not in STARTABLE:
            raise WrongStateError(
                f"the volume {volume.name} has the data of {name}: remove that node, and its "
                "volume goes with it"
            )
        left = self.noted.left
        there = {other.name for other in self.volumes.all()} - {volume.name}
        others = [
            at
            for data, other in names.items()
            if data in there and (at := left.get(other, -1)) >= 0
        ]
        if name not in left or max(others, default=-1) < left[name]:
            raise WrongStateError(
                f"the volume {volume.name} has the newest data of the service, perhaps the only "
                "copy: remove the service to give up its data"
            )

    def on_volume_taken(self, volume: VolumeInfo, node: Node) -> Job[None]:
        """Stop the database whose data are on a volume that is detached to grow."""
        if node.role == MYSQL and volume.name == data_volume(self.number, node.position):
            self.noted.expect_start(name_of(node))
            yield from scaled(self.drain([node]), 0, 50)
            yield from scaled(self.stop_in_order([node]), 50, 100)

    def on_volume_back(self, volume: VolumeInfo, node: Node) -> Job[None]:
        """Have its database go on."""
        if node.role == MYSQL and volume.name == data_volume(self.number, node.position):
            yield from self.settle()

    # -- given to users -----------------------------------------------------------------------

    @expose(reads=True)
    def get_address(self) -> Address:
        """Tell where the databases are reached, and a client's command for it."""
        node = self.address_node() if self.state not in STARTABLE else None
        if node is None:
            raise WrongStateError(
                f"service {self.number} is {self.state} and has no address: start it"
            )
        alike: Sequence[Node] = self.balancers or self.databases
        return Address(
            host=node.address,
            port=MYSQL_PORT,
            user=USER,
            command=f"mysql -h {node.address} -P {MYSQL_PORT} -u {USER} -p",
            others=tuple(other.address for other in alike if other.id != node.id),
        )
