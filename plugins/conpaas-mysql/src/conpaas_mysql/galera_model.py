"""A model of Galera: members, views and quorum, without servers and without time.

For rehearsals of what directs clusters.  It is stricter than Galera where that is possible: it
judges after each event that there is one primary component at most, and that it has every write
that was ever acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec


@dataclass(frozen=True)
class Data:
    """What is on a member's volume.

    Args:
        cluster: The id of the state; empty of who was killed while it got its copy.
        writes: In order.
        view: With whom it was when it was killed: with all of them it goes on by itself.
        was_last: It was the last one to leave in order.
    """

    cluster: str
    writes: tuple[str, ...]
    view: tuple[str, ...] = ()
    was_last: bool = False


_NOTHING = Data("", ())


class Disk(Protocol):
    """What a member keeps its data on; it outlives servers and machines."""

    def read(self) -> Data | None:
        """Return what was written last, None when nothing was."""

    def write(self, data: Data) -> None:
        """Keep data."""


class FileDisk:
    """A file on a volume."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Data | None:
        """Return what was written last."""
        if not self._path.exists():
            return None
        return msgspec.json.decode(self._path.read_bytes(), type=Data)

    def write(self, data: Data) -> None:
        """Keep data."""
        self._path.write_bytes(msgspec.json.encode(data))


@dataclass
class Server:
    """A server that runs.

    Args:
        address: Of its machine.
        name: Of the member.
        disk: Where its data is.
        view: Members of the last primary component that it belonged to, by address.
        is_primary: It belongs to one now.
        was_primary: It has since it was started.
        started: When, in seconds.
        donor: Address of whom it gets a whole copy from just now; empty when it gets none.
        is_forgotten: It waits for ever for the end of a copy that it gave.
    """

    address: str
    name: str
    disk: Disk
    started: float
    view: frozenset[str] = frozenset()
    is_primary: bool = False
    was_primary: bool = False
    donor: str = ""
    is_forgotten: bool = False

    @property
    def data(self) -> Data:
        """What is on its disk; with no cluster when it is empty."""
        return self.disk.read() or _NOTHING


@dataclass
class World:
    """All servers there are, and the network between them.

    Args:
        servers: Those that run, by address.
        apart: Pairs of addresses that cannot reach each other.
        acknowledged: Writes that clients were told of.
        wrong: What must never be, and was.
        copies_last: Whole copies last until ``finish_copies``.
    """

    servers: dict[str, Server] = field(default_factory=dict)
    apart: set[frozenset[str]] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    clusters: int = 0
    clock: int = 0
    copies_last: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- servers come and go ------------------------------------------------------------------

    def start(self, server: Server) -> None:
        """Have a server run that looks for others; one whose view is kept knows them again."""
        with self.lock:
            if server.address not in self.servers:
                self.servers[server.address] = server
                self._settle()

    def create(self, server: Server) -> None:
        """Have a server run on an empty disk, as a cluster of its own."""
        with self.lock:
            if server.data.cluster:
                self.wrong.append(f"{server.name} was set up over data")
            self.clusters += 1
            server.disk.write(Data(f"cluster-{self.clusters}", ()))
            self.servers[server.address] = server
            self._make_primary({server.address})
            self._judge()

    def bootstrap(self, server: Server) -> None:
        """Have a server run on its data, as a cluster that others may join."""
        with self.lock:
            self.servers[server.address] = server
            self._make_primary({server.address})
            self._judge()

    def promote(self, address: str) -> None:
        """Have the component of a server take queries (``pc.bootstrap``)."""
        with self.lock:
            self._make_primary(self.component(address))
            self._judge()

    def leave(self, address: str) -> None:
        """Stop a server in order: the others know that it went, and stay what they are."""
        with self.lock:
            server = self.servers.pop(address, None)
            if server is None:
                return
            others = [s for s in list(self.servers.values()) if s.is_primary and server.is_primary]
            for other in others:
                other.view -= {address}
            if server.data.cluster:
                server.disk.write(replace(server.data, view=(), was_last=not others))
            self._settle()

    def kill(self, address: str) -> Server | None:
        """End a server: the others find out that they do not hear it any more."""
        with self.lock:
            server = self.servers.pop(address, None)
            if server is not None:
                # Half a copy that nobody else knows of is begun anew, as one among others.
                view = () if server.donor and len(server.view) == 1 else sorted(server.view)
                server.disk.write(replace(server.data, view=tuple(view)))
                self._settle()
            return server

    def forget(self, address: str) -> None:
        """Have a donor not notice that a copy of its data was cut off."""
        with self.lock:
            self.servers[address].is_forgotten = True

    def finish_copies(self) -> None:
        """Have all that get copies have them, and be quick with those to come."""
        with self.lock:
            self.copies_last = False
            for server in list(self.servers.values()):
                if server.donor:
                    data = self.servers[server.donor].data
                    server.disk.write(Data(data.cluster, data.writes))
                    server.donor = ""
            self._judge()

    # -- the network --------------------------------------------------------------------------

    def cut(self, one: Iterable[str], other: Iterable[str]) -> None:
        """Have two groups of addresses not hear each other."""
        with self.lock:
            self.apart |= {frozenset((a, b)) for a in one for b in other if a != b}
            self._settle()

    def heal(self) -> None:
        """Have all hear all."""
        with self.lock:
            self.apart.clear()
            self._settle()

    # -- clients ------------------------------------------------------------------------------

    def write(self, address: str, what: str) -> bool:
        """Write something; return whether it was acknowledged."""
        with self.lock:
            if not self.takes_queries(address):
                return False
            for member in self.members(address):
                if self.servers[member].donor:
                    continue  # it keeps that beside its copy
                data = self.servers[member].data
                self.servers[member].disk.write(replace(data, writes=(*data.writes, what)))
            self.acknowledged.append(what)
            return True

    def takes_queries(self, address: str) -> bool:
        """Whether a server takes queries."""
        server = self.servers.get(address)
        if server is None or not server.is_primary:
            return False
        return not server.donor and not server.is_forgotten

    def members(self, address: str) -> list[str]:
        """Return whom a server sees, itself included."""
        server = self.servers[address]
        seen = self.component(address)
        if server.is_primary:
            seen = {a for a in seen if self.servers[a].is_primary}
        return sorted(seen)

    def component(self, address: str) -> set[str]:
        """Return the addresses of the servers that hear each other, over others too."""
        found, todo = {address}, [address]
        while todo:
            here = todo.pop()
            for other in self.servers.keys() - found:
                if frozenset((here, other)) not in self.apart:
                    found.add(other)
                    todo.append(other)
        return found

    # -- quorum -------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Work out who is primary, as group communication does after each change."""
        seen: set[str] = set()
        for address in sorted(self.servers):
            if address not in seen:
                component = self.component(address)
                seen |= component
                self._vote(component)
        self._end_copies()
        self._judge()

    def _end_copies(self) -> None:
        """Have those end whose donors are gone: they are started again by their machines.

        Who has lost the others too waits for ever.
        """
        for address, server in list(self.servers.items()):
            gone = server.donor not in self.component(address)
            if server.donor and server.is_primary and gone:
                self.kill(address)
                return  # which has settled all

    def _vote(self, component: set[str]) -> None:
        """Have a component be primary if it is more than half of what was primary before."""
        for server in [self.servers[a] for a in sorted(component)]:
            view = server.view
            if not server.was_primary or not view or not self._is_newest(server, component):
                continue
            there = {a for a in view & component if self.servers[a].view == view}
            if 2 * len(there) > len(view):
                self._make_primary(component)
                return
        recovered = {self._recovered(address) for address in component}
        # Who waits for its copy since before remembers another past than who was started again.
        waiting = any(self.servers[address].donor for address in component)
        if not waiting and any(view and view <= component for view in recovered):
            self._make_primary(component)
            return
        for address in component:
            self.servers[address].is_primary = False

    def _is_newest(self, server: Server, component: set[str]) -> bool:
        most = max(len(self.servers[a].data.writes) for a in component)
        return len(server.data.writes) == most

    def _recovered(self, address: str) -> frozenset[str]:
        """Return the view that a server knows: its own, or that of before it was killed."""
        server = self.servers[address]
        return server.view if server.was_primary else frozenset(server.data.view)

    def _make_primary(self, component: set[str]) -> None:
        """Have servers be the primary component: each gets what the one with the most has."""
        servers = [self.servers[address] for address in sorted(component)]
        first = max(servers, key=lambda s: (bool(s.data.cluster), len(s.data.writes)))
        most = first.data
        for server in servers:
            if self.copies_last and server.data.cluster != most.cluster:
                server.donor = server.donor or first.address
            elif most.cluster:
                server.disk.write(Data(most.cluster, most.writes))
                server.donor = ""
            server.view = frozenset(component)
            server.is_primary = server.was_primary = True

    def _judge(self) -> None:
        primary = [s for s in list(self.servers.values()) if s.is_primary]
        for server in primary:
            # Who still gets its copy takes no queries.
            there = set(self.acknowledged if server.donor else server.data.writes)
            lost = set(self.acknowledged) - there
            if lost:
                self.wrong.append(f"{server.name} takes queries and has lost {lost}")
            for other in primary:
                if other.address not in self.component(server.address):
                    self.wrong.append(f"{server.name} and {other.name} are two clusters")
