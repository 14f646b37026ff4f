"""A MySQL service without software: its agents move the members of a modelled cluster.

For tests of what directs clusters: nothing is started, and after each event the model judges what
must never be.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError, InvalidError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.features.volumes.names import VolumeName
from conpaas.rpc import Job, Progress, expose
from conpaas.schema import Option, from_json, to_json
from conpaas.testing import theatre
from conpaas_mysql import rehearsed_measures
from conpaas_mysql.galera_model import FileDisk, Server, World
from conpaas_mysql.manager import MysqlManager
from conpaas_mysql.parts import (
    BalancerPart,
    ClusterSecrets,
    DatabasePart,
    DatabaseStatus,
    Position,
)
from conpaas_mysql.plugin import conpaas_service
from conpaas_mysql.rehearsed_backups import RehearsedBackups

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Settings that the rehearsed server takes up only when it is started.
_AT_START = ("character_set_server", "innodb_buffer_pool_size")
_ROOM = 1 << 30
#: Seconds that a database which ended on its way may be away before it is given up.
_PATIENCE = 2.0


@dataclass
class Stage(theatre.Stage):
    """What all agents of a rehearsal share.

    Args:
        world: The modelled cluster.
        refused: Values that no server starts with.
        unknown: Values that a server refuses as soon as it is asked.
        down: Addresses whose servers are not started again when they were killed.
        full: Addresses whose volumes are nearly full.
        hanging: Addresses whose servers do not answer.
        contents: What all databases hold for users, as a backup has it.
        loaded: What was loaded of the last dump.
        lasting: Names of operations with backups and dumps that last until they are taken out.
        late: So often a server says yet that it takes queries when it does not any more.
        figures: What else agents measure: gauges without labels, by address and name.
    """

    world: World = field(default_factory=World)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    contents: str = "first"
    loaded: str = ""
    lasting: set[str] = field(default_factory=set)

    def balancers(self) -> list[tuple[str, BalancerPart, set[str]]]:
        """Return the balancers at work: address, part, and names that are drained."""
        found = []
        for address, agent in list(self.agents.items()):
            if part := agent.balancer_part:
                found.append((address, part, set(agent.store.get("drained", []))))
        return found

    def judge_stop(self, agent: RehearsalAgent) -> None:
        """Look whether some balancer still sends connections to a database that is stopped."""
        part = agent.database_part
        if part is None or not self.world.takes_queries(agent.place.address):
            return
        for address, balancer, drained in self.balancers():
            if part.name in {s.name for s in balancer.servers} - drained:
                self.wrong.append(f"{part.name} is stopped while {address} sends to it")

    def query(self, what: str) -> bool:
        """Write something as a client does: by each balancer, or else to any database."""
        balancers = self.balancers()
        if not balancers:
            # Who gets its copy does not even listen yet.
            servers = [a for a, server in list(self.world.servers.items()) if not server.donor]
            return any(self.world.write(address, what) for address in servers[:1])
        for address, part, drained in balancers:
            healthy = [
                server
                for server in part.servers
                if self.world.takes_queries(server.address) and server.name not in drained
            ]
            if not healthy or not self.world.write(healthy[0].address, f"{what} by {address}"):
                return False
        return True


class RehearsalAgent(RehearsedBackups, VolumeAgent):
    """Does in the model what a real agent does on its machine."""

    stage: Stage

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self.stage.agents[place.address] = self

    @property
    def world(self) -> World:
        """The modelled cluster."""
        return self.stage.world

    @property
    def database_part(self) -> DatabasePart | None:
        """What it was told to be."""
        told = self.store.get("part")
        return from_json(told, DatabasePart, "part") if told else None

    @property
    def balancer_part(self) -> BalancerPart | None:
        """What it was told to balance."""
        told = self.store.get("balancer")
        return from_json(told, BalancerPart, "balancer") if told else None

    @property
    def server(self) -> Server | None:
        """The server that runs here."""
        return self.world.servers.get(self.place.address)

    # -- a database ---------------------------------------------------------------------------

    @expose()
    def configure_database(
        self,
        part: Annotated[DatabasePart, "What it does"],
        secrets: Annotated[ClusterSecrets, "What the members share", Option(secret=True)],
    ) -> bool:
        """Note what it is told."""
        self.stage.begin(self, "configure_database", part)
        told = to_json(part)
        news = bool(self.store.get("part") != told)
        self.store["part"] = told
        return news

    @expose(reads=True, hidden=True)
    def check_settings(self, settings: Annotated[dict[str, str], "Of the server"]) -> None:
        """Refuse what the stage says."""
        if found := self.stage.unknown & set(settings.values()):
            raise InvalidError(f"the database refuses {min(found)}")

    @expose(resumes=True)
    def create_database(self) -> Job[None]:
        """Create a cluster."""
        yield Progress(0, "creating")
        self.stage.begin(self, "create_database")
        data = self._disk.read()
        if data is not None and data.cluster and self.server is None:
            raise AgentError("there is data already")
        if self.server is None:
            self.world.create(self._new_server())

    @expose(resumes=True)
    def bootstrap_database(self) -> Job[None]:
        """Begin with the data that is here."""
        yield Progress(0, "bootstrapping")
        self.stage.begin(self, "bootstrap_database")
        if self.server is None or not self.server.is_primary or self.server.is_forgotten:
            if self.server is not None:
                self.world.leave(self.place.address)
            self.world.bootstrap(self._new_server())

    @expose(resumes=True)
    def join_database(self) -> Job[None]:
        """Run, and fail if that leads to nothing."""
        yield Progress(0, "joining")
        self.stage.begin(self, "join_database")
        if self.server is not None and self.server.is_forgotten:
            self.world.leave(self.place.address)
        if self.server is None:
            data = self._disk.read()
            if data is not None:
                # It shall join, not go on by itself.
                self._disk.write(replace(data, view=()))
            self.world.start(self._new_server())
        gets = self.server is not None and bool(self.server.donor)
        until = time.monotonic() + (_PATIENCE if gets else 0.0)
        while not self.world.takes_queries(self.place.address):
            if time.monotonic() > until:
                if self.server is not None and self.server.donor:
                    self.world.kill(self.place.address)
                raise AgentError("it finds nobody to join")
            if self.server is not None and self.server.donor and self.server.is_primary:
                until = time.monotonic() + _PATIENCE
            yield Progress(50, "the database gets the data")
            time.sleep(0.01)

    @expose(resumes=True)
    def promote_database(self) -> Job[None]:
        """Go on without the others."""
        yield Progress(0, "promoting")
        self.stage.begin(self, "promote_database")
        if self.server is None:
            raise AgentError("the server does not run")
        if self.server.is_forgotten:
            self.world.leave(self.place.address)
            self.world.bootstrap(self._new_server())
        if not self.server.is_primary:
            self.world.promote(self.place.address)

    @expose(resumes=True, preempts=True)
    def stop_database(self) -> Job[None]:
        """Stop the server."""
        yield Progress(0, "stopping")
        self.stage.begin(self, "stop_database")
        self.stage.judge_stop(self)
        self.store["wanted"] = False
        self.world.leave(self.place.address)

    @expose(reads=True, hidden=True)
    def get_database_status(self) -> DatabaseStatus:
        """Return how it is; a killed server is started again when it has been asked for once."""
        self._revive()
        server, part = self.server, self.database_part
        data = self._disk.read() if part is not None else None
        has_data = data is not None and bool(data.cluster)
        if server is None or part is None:
            return DatabaseStatus(has_data, False, False, 0, False, (), "", -1, False, _ROOM)
        if server.donor:
            return DatabaseStatus(
                False, True, False, 0, False, (), "", -1, False, _ROOM,
                used=30 << 20, started=server.started,
            )  # fmt: skip
        hangs = self.place.address in self.stage.hanging
        ready = server.is_primary and not hangs and not server.is_forgotten
        if late := self.stage.late.get(self.place.address, 0):
            self.stage.late[self.place.address] = late - 1
            ready = True
        seen = [self.world.servers[a].name for a in self.world.members(self.place.address)]
        if self.stage.late.get(self.place.address, 0):
            seen = [member.name for member in part.members]
        return DatabaseStatus(
            has_data=has_data,
            is_running=True,
            is_primary=ready,
            state=2 if server.is_forgotten else 4 if ready else 0,
            ready=ready,
            members=() if hangs else tuple(sorted(seen)),
            cluster=server.data.cluster,
            position=len(server.data.writes) if server.was_primary and not hangs else -1,
            outdated=self._at_start(part) != self.store.get("ran_with"),
            free=1 << 20 if self.place.address in self.stage.full else _ROOM,
            trouble="the server does not answer" if hangs else "",
            used=100 << 20,
            started=server.started,
        )

    @expose()
    def recover_position(self, volume: Annotated[str, "Its volume"] = "") -> Position:
        """Return what is on a disk."""
        self.stage.begin(self, "recover_position")
        if self.server is not None and volume in ("", self._told.volume):
            raise AgentError("the server runs")
        data = self._disk_on(volume or self._told.volume).read()
        if data is None or not data.cluster:
            return Position("", -1, False)
        return Position(data.cluster, len(data.writes), data.was_last)

    @expose()
    def unmount_volume(self, name: VolumeName) -> bool:
        """Unmount a volume, unless the server uses it."""
        part = self.database_part
        if self.server is not None and part is not None and part.volume == name:
            raise AgentError(f"the volume {name} is in use by mariadbd")
        return super().unmount_volume(name)

    # -- a balancer ---------------------------------------------------------------------------

    @expose()
    def run_balancer(self, part: Annotated[BalancerPart, "What it does"]) -> bool:
        """Balance connections."""
        self.stage.begin(self, "run_balancer", part)
        told = to_json(part)
        news = bool(self.store.get("balancer") != told)
        self.store["balancer"] = told
        self.store["drained"] = []
        return news

    @expose(resumes=True)
    def drain_server(
        self, name: Annotated[str, "Name of a database"], seconds: Annotated[int, "At most"] = 60
    ) -> Job[int]:
        """Send nothing more to a database."""
        yield Progress(0, f"draining {name}")
        self.stage.begin(self, "drain_server", name)
        self.store["drained"] = [*self.store.get("drained", []), name]
        return 0

    @expose()
    def leave_balancer(self) -> None:
        """Stop balancing."""
        self.stage.begin(self, "leave_balancer")
        self.store["balancer"] = None

    # -- measures -----------------------------------------------------------------------------

    def collect(self) -> Iterable[Metric]:
        """Measure what the manager looks at."""
        yield from super().collect()
        figures = dict(self.stage.figures.get(self.place.address, {}))
        if self.database_part is not None:
            yield from rehearsed_measures.of_database(self.get_database_status())
        if self.balancer_part is not None:
            figures.setdefault("conpaas_glb_clients", 0.0)
        yield from rehearsed_measures.gauges(figures)

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _told(self) -> DatabasePart:
        if (part := self.database_part) is None:
            raise AgentError("this node was not told to run a database")
        return part

    @property
    def _disk(self) -> FileDisk:
        return self._disk_on(self._told.volume)

    def _disk_on(self, volume: str) -> FileDisk:
        if not self._mounts.is_mounted(self.volume_path(volume)):
            raise AgentError(f"the volume {volume} is not mounted")
        return FileDisk(self.volume_path(volume) / "data.json")

    def _new_server(self) -> Server:
        part = self._told
        if refused := self.stage.refused & set(part.settings.values()):
            raise AgentError(f"the server does not start: {min(refused)} is refused")
        # A server that is killed is back within a second.
        self.world.clock += 1
        self.store["wanted"] = True
        self.store["ran_with"] = self._at_start(part)
        return Server(self.place.address, part.name, self._disk, self.world.clock / 10)

    def _at_start(self, part: DatabasePart) -> dict[str, str]:
        return {name: part.settings[name] for name in _AT_START if name in part.settings}

    def _revive(self) -> None:
        """Start a server again that was killed, as the machine's supervisor does."""
        wanted = self.store.get("wanted", False) and self.place.address not in self.stage.down
        if not wanted or self.server is not None or self.database_part is None:
            self.store["asked"] = False
        elif self.store.get("asked", False):
            self.store["asked"] = False
            self.world.start(self._new_server())
        else:
            self.store["asked"] = True


class RehearsalManager(MysqlManager):
    """Directs a rehearsal as a cluster is directed, and waits for nothing."""

    patience = 0.2
    glance = 0.05
    endurance = 3.0


class RehearsalPlugin(theatre.RehearsalPlugin):
    """The rehearsal's service type, as a plugin of a test.

    Args:
        stage: What its agents share.
    """

    def __init__(self, stage: Stage) -> None:
        directed = replace(conpaas_service(), manager=RehearsalManager)
        super().__init__(stage, directed, RehearsalAgent)
