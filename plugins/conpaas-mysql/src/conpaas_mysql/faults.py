"""What is seen of a cluster, and what may be done to it when no part of it takes queries.

Galera acknowledges a write when all members of the primary component have received it, and commits
it to the disk of the member that was asked.  Members that lose the others stop taking queries
unless they are more than half of those that there were.  From these two facts follows all below.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from conpaas.errors import AgentError
from conpaas.manager.nodes import Node
from conpaas_mysql.galera import DONOR, SYNCED
from conpaas_mysql.parts import DatabaseStatus, Position, member_name

#: Galera's states in which a member takes queries.
READY_STATES = (DONOR, SYNCED)


@dataclass(frozen=True)
class Picture:
    """All databases at one time.

    Args:
        nodes: Of the databases, by name; those that leave are among them.
        statuses: Of those that answered, by name.
        silent: Why the others did not.
    """

    nodes: Mapping[str, Node]
    statuses: Mapping[str, DatabaseStatus]
    silent: Mapping[str, str]

    @property
    def primary(self) -> list[str]:
        """Names of the members of the primary component."""
        return [name for name, status in self.statuses.items() if status.is_primary]

    @property
    def ready(self) -> list[str]:
        """Names of the databases that take queries."""
        return [name for name, status in self.statuses.items() if status.ready]

    @property
    def running(self) -> list[str]:
        """Names of the databases whose server runs."""
        return [name for name, status in self.statuses.items() if status.is_running]

    @property
    def survivors(self) -> list[str]:
        """Names of those that run and have belonged to a primary component; the farthest first.

        One that was started since, and found nobody, knows nothing of what the others did.
        """
        found = [
            (-status.position, name)
            for name, status in self.statuses.items()
            if status.is_running and status.position >= 0
        ]
        return [name for _, name in sorted(found)]

    def takes_queries(self, name: str) -> bool:
        """Whether a database is one of those that take queries, or serves as a donor."""
        status = self.statuses.get(name)
        return status is not None and status.is_primary and status.state in READY_STATES

    def is_forgotten(self, name: str) -> bool:
        """Whether a running database waits for the end of a copy of it that was cut off."""
        status = self.statuses[name]
        return status.state == DONOR and not status.is_primary

    def component(self, name: str) -> frozenset[str]:
        """Return the names of the databases that a running one sees, itself included."""
        return frozenset({name, *self.statuses[name].members}) & self.statuses.keys()

    def label(self, name: str) -> str:
        """Return a database as people know it: ``mysql-2 (10.0.0.7)``."""
        return f"{name} ({self.nodes[name].address})" if name in self.nodes else name

    def check_one_cluster(self) -> None:
        """Raise when there are two primary components, which must not be, or two clusters.

        Members that have not noticed yet that others are gone still count them among theirs.
        """
        primary = self.primary
        for one in primary:
            for other in primary:
                apart = other not in self.component(one) and one not in self.component(other)
                if apart or self.statuses[one].cluster != self.statuses[other].cluster:
                    raise AgentError(
                        f"{self.label(one)} and {self.label(other)} take queries and do not know "
                        "each other: stop one of them by hand, and look what was written to it"
                    )


def may_promote(picture: Picture, members: Collection[str]) -> str | None:
    """Return which survivor can go on at once without anything being lost, None when none can.

    It is safe when one member at most cannot be asked and all others see each other: alone it
    was never more than half of anything, so nothing was acknowledged without those that are here.
    """
    if not picture.survivors:
        return None
    best = picture.survivors[0]
    here = picture.component(best) & set(picture.survivors)
    missing = set(members) - here
    if len(missing) <= 1 and not missing & (picture.statuses.keys() | picture.silent.keys()):
        return best
    return None


def check_all_known(picture: Picture, members: Collection[str]) -> None:
    """Raise when a member may know more than all that can be asked.

    Raises:
        AgentError: Which one is waited for.
    """
    if picture.silent:
        told = "; ".join(f"{picture.label(name)}: {why}" for name, why in picture.silent.items())
        raise AgentError(f"nobody knows whether these databases run: {told}")
    if unknown := sorted(set(members) - picture.statuses.keys()):
        raise AgentError(
            f"waiting for the data of {', '.join(unknown)}, which may be newer than what is here"
        )


@dataclass(frozen=True)
class Choice:
    """Which database the others shall follow, and from where on."""

    name: str
    position: Position


def choose(positions: Mapping[str, Position], cluster: str) -> Choice:
    """Return which database has all that was ever acknowledged; all members have told.

    Args:
        positions: Of all members, by name.
        cluster: The id that there must be; empty when none was noted.

    Raises:
        AgentError: The cluster's data is nowhere.
    """
    with_data = {name: where for name, where in positions.items() if where.cluster}
    ours = {name: p for name, p in with_data.items() if p.cluster == cluster or not cluster}
    if not ours or len({p.cluster for p in ours.values()}) > 1:
        found = ", ".join(f"{name} has {p.cluster}" for name, p in sorted(with_data.items()))
        raise AgentError(
            f"the data of the cluster {cluster or '(not noted)'} is on no volume of this service "
            f"({found or 'they are empty'}): nothing is done. Remove the service to give it up"
        )
    name = min(ours, key=lambda n: (-ours[n].number, not ours[n].was_last, n))
    return Choice(name, ours[name])


def choose_here(positions: Mapping[str, Position], cluster: str, here: Collection[str]) -> Choice:
    """Return which of the databases that are here has all that was ever acknowledged.

    Args:
        positions: Of all members, by name.
        cluster: The id that there must be; empty when none was noted.
        here: Names of those that have a node; of the others there are volumes only.

    Raises:
        AgentError: The cluster's data is nowhere, or the newest is on no node.
    """
    best = choose(positions, cluster)
    number = best.position.number
    equal = {n: p for n, p in positions.items() if n in here and p.number == number}
    if best.name in here:
        return best
    if equal:
        return choose(equal, cluster)
    raise AgentError(
        f"the newest data, up to transaction {number}, is that of {best.name}, which was given "
        "up; its volume is kept: add a node to bring it back"
    )


def position_of(name: str) -> int:
    """Return the position of the database of a name that ``member_name`` gave."""
    return int(name.rpartition("-")[2]) - 1


def name_of(node: Node) -> str:
    """Return the name of the database on a node."""
    return member_name(node.position)
