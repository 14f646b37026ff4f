"""The part of an agent that runs a database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from conpaas.agent.base import AgentPlace, LogFile
from conpaas.errors import AgentError, ConPaaSError, UnreachableError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.rpc import Job, Progress, expose
from conpaas.schema import Option, from_json, to_json
from conpaas_mysql import galera, starting, trial
from conpaas_mysql.client import Session, session
from conpaas_mysql.directories import Directories
from conpaas_mysql.donors import in_truth
from conpaas_mysql.mariadb import HEALTH, MariaDb
from conpaas_mysql.parts import ClusterSecrets, DatabasePart, DatabaseStatus, Position
from conpaas_mysql.sessions import wait_for_sessions
from conpaas_mysql.status import database_status
from conpaas_mysql.waiting import RESTARTS, stays_forgotten, until_synced

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_PART, _WANTED, _CREATING = "database", "database-wanted", "database-creating"
#: How often a server with new settings may end on its way: the one it gets data from may die.
_RESTARTS_UNPROVEN = 1
#: Seconds within which a member that is told to go on alone does so.
_PROMOTE_TIMEOUT = 20.0
#: Seconds that sessions have to end what they are doing, before the server ends.
_SESSIONS_TIMEOUT = 10.0


class DatabaseAgent(VolumeAgent):
    """Runs MariaDB with Galera; every operation may be repeated.

    Given to you:
        ``self.database`` (the server, once it was configured), ``self.administer()`` (SQL as the
        administrator).
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        # A machine may be reached by an address that none of its interfaces has.
        on_machine = place.root == Path("/")
        self._listen = "0.0.0.0" if on_machine else place.address  # noqa: S104
        self._configuring = threading.Lock()

    @property
    def part(self) -> DatabasePart:
        """What this database does.

        Raises:
            AgentError: Nobody has told it.
        """
        if _PART not in self.store:
            raise AgentError("this node has not been told to run a database")
        part: DatabasePart = from_json(self.store[_PART], DatabasePart, _PART)
        return part

    @property
    def database(self) -> MariaDb:
        """The server.

        Raises:
            AgentError: This node was not told to run one.
        """
        return self._database(self.part)

    @contextmanager
    def administer(self, seconds: float = 5.0) -> Iterator[Session]:
        """Connect to the server as its administrator.

        Args:
            seconds: That any answer may take.

        Raises:
            AgentError: This node was not told to run one, or it does not answer.
        """
        try:
            with session(self.database.directories.socket, seconds=seconds) as connection:
                yield connection
        except UnreachableError as error:
            raise AgentError(error.message) from error

    # -- what it is told -----------------------------------------------------------------------

    @expose()
    def configure_database(
        self,
        part: Annotated[DatabasePart, "What it does"],
        secrets: Annotated[ClusterSecrets, "What the members share", Option(secret=True)],
    ) -> bool:
        """Write what the database needs to know; what can change while it runs is changed at once.

        It is not started, and not started again.  Returns whether anything is new.
        """
        with self._configuring:
            try:
                changed = self._database(part).configure(part, secrets)
            except OSError as error:
                raise AgentError(f"the database: {error.strerror or error}") from error
            told = to_json(part)
            if self.store.get(_PART) != told:
                self.store[_PART] = told
                changed = True
        return changed

    @expose(reads=True, hidden=True)
    def check_settings(
        self, settings: Annotated[dict[str, str], "Of the server, as its file writes them"]
    ) -> None:
        """Refuse settings that the server's program does not take; it is asked here, now.

        Raises:
            InvalidError: It refuses one; says which, and what it says.
        """
        trial.check_options(settings)

    @expose(resumes=True)
    def create_database(self) -> Job[None]:
        """Set up an empty data directory, and run the first member of a new cluster on it.

        Raises:
            AgentError: There is data already: nothing happens to it.
        """
        database = self.database
        if database.has_data and not self.store.get(_CREATING):
            raise AgentError("there are data on the volume already: nothing happens to them")
        yield Progress(0, "setting up an empty database")
        self.store[_CREATING] = True
        if not database.has_data:
            database.stop()
            database.create_data()
        yield from self._begin()
        self.store[_CREATING] = False

    @expose(resumes=True)
    def bootstrap_database(self) -> Job[None]:
        """Run the first member of a cluster on the data that is here; the others join it.

        Only the manager may decide this: it knows that no other member runs, and none has more.
        One that is primary already is left alone.
        """
        if not self.database.has_data:
            raise AgentError("there are no whole data here that a cluster could begin with")
        yield Progress(0, "beginning a cluster with the data of this node")
        yield from self._begin()

    @expose(resumes=True)
    def join_database(self) -> Job[None]:
        """Run a member, and wait until it has all that the others have and takes queries.

        Settings that it has not run with yet are tried before; where it does not start with them,
        it is stopped, and the others have lost nobody.

        Raises:
            AgentError: It does not get there; tells the last words of its log.
        """
        database = self.database
        yield Progress(0, "joining the cluster")
        if (yield from stays_forgotten(database)):
            yield Progress(5, "stopping a donor whose copy was cut off")
            database.stop()
        new = yield from self._tried(database)
        self.store[_WANTED] = True
        database.start(join=True)
        try:
            yield from until_synced(database, restarts=_RESTARTS_UNPROVEN if new else RESTARTS)
        except AgentError as error:
            if new:
                yield from self._refuse(database, new, error)
            # What it waits for may never come, as when its donor's machine has fallen silent.
            database.abandon_copy()
            raise
        trial.note_proven(database.directories)
        self.log.info("the database has joined the cluster")

    @expose(resumes=True)
    def promote_database(self) -> Job[None]:
        """Have a running member that lost the others go on alone (``pc.bootstrap``).

        Only the manager may decide this: it has made sure that the others do not run.
        """
        with self.administer() as connection:
            alone = not galera.group(connection).is_primary
        yield Progress(0, "going on without the others")
        if alone:
            with self.administer() as connection:
                connection.run("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
            self.log.warning("the database goes on without those that it has lost")
        try:
            if not (yield from stays_forgotten(self.database)):
                yield from until_synced(self.database, patience=_PROMOTE_TIMEOUT)
                return
        except AgentError:
            # It may have become one by going on.
            if not (yield from stays_forgotten(self.database)):
                raise
        self.log.warning("the database still waits for a copy that was cut off: started again")
        yield from self._begin()

    @expose(resumes=True, preempts=True)
    def stop_database(self) -> Job[None]:
        """Stop the server in order, when its sessions had some time to end; none is fine."""
        yield Progress(0, "waiting for the sessions of the database")
        self.store[_WANTED] = False
        if _PART not in self.store:
            return
        database = self.database
        if database.is_running:
            if self._is_primary(0.0):
                trial.note_proven(database.directories)
            yield from wait_for_sessions(database.directories.socket, _SESSIONS_TIMEOUT)
            yield Progress(50, "stopping the database")
        database.stop()
        self.log.info("the database is stopped")

    # -- how it is doing -----------------------------------------------------------------------

    @expose(reads=True, hidden=True)
    def get_database_status(self) -> DatabaseStatus:
        """Return how the database is; quick, and without waiting for a server that hangs."""
        if _PART not in self.store:
            return DatabaseStatus(False, False, False, 0, False, (), "", -1, False, 0)
        part = self.part
        return database_status(self._database(part), part, bool(self.store.get(_WANTED)))

    @expose()
    def recover_position(
        self, volume: Annotated[str, "With data that no server uses; its own if empty"] = ""
    ) -> Position:
        """Return what a database that does not run has (it takes a second or two).

        Raises:
            AgentError: It runs.
        """
        database = self.database
        directories = database.directories
        if volume not in ("", self.part.volume):
            directories = Directories(self.root, self.volume_path(volume))
        elif database.is_running:
            raise AgentError("the database runs: its status tells the position")
        try:
            found = starting.recover(directories)
        except OSError as error:
            raise AgentError(str(error)) from error
        return Position(found.cluster, found.number, found.was_last)

    def logs(self) -> list[LogFile]:
        """Return the logs of the database, where there are any."""
        found = [
            LogFile("mariadb.log", "what the database says", self.supervisor.log_file("mariadb")),
            LogFile(
                "mysql-health.log",
                "what the program says that answers balancers",
                self.supervisor.log_file(HEALTH),
            ),
        ]
        return [*super().logs(), *(log for log in found if log.path.exists())]

    def on_boot(self) -> None:
        """Have the database run if it shall: as a member, never as the first of a cluster."""
        super().on_boot()
        if _PART not in self.store:
            return
        try:
            if self.store.get(_WANTED):
                self.database.start()
        except (ConPaaSError, OSError) as error:
            # The manager asks again; an agent that does not start could tell it nothing.
            self.log.error("the database does not run: %s", error)

    def collect(self) -> Iterable[Metric]:
        """Measure the database too."""
        # Late: clients import this file, and need none of it.
        from conpaas_mysql import measures

        yield from super().collect()
        if _PART in self.store:
            yield from measures.of_database(self.database)

    # -- how it is done ------------------------------------------------------------------------

    def _database(self, part: DatabasePart) -> MariaDb:
        directories = Directories(self.root, self.volume_path(part.volume))
        return MariaDb(directories, self.supervisor, self._listen)

    def _begin(self) -> Job[None]:
        """Run the first member of a cluster; one that is primary is left alone."""
        database = self.database
        self.store[_WANTED] = True
        if database.is_running and not self._is_primary():
            yield Progress(20, "ending a server that waits for others")
            database.stop()
        new = yield from self._tried(database)
        if not database.is_running:
            database.start(bootstrap=True)
        try:
            yield from until_synced(database, restarts=0)
        except AgentError as error:
            if new:
                yield from self._refuse(database, new, error)
            # Started again, it would wait for others, and hide why it has ended.
            self.store[_WANTED] = False
            database.stop()
            raise
        trial.note_proven(database.directories)
        self.log.info("the database is the first member of its cluster")

    def _tried(self, database: MariaDb) -> Job[dict[str, str]]:
        """Try the settings that a server which does not run has not run with; return them.

        Raises:
            AgentError: It does not start with them; it shall not run any more.
        """
        if database.is_running or not database.has_data:
            return {}
        if new := trial.unproven(database.directories):
            yield Progress(5, f"trying {', '.join(new)}")
            try:
                trial.try_settings(database.directories)
            except AgentError:
                self.store[_WANTED] = False
                raise
        return new

    def _refuse(self, database: MariaDb, new: dict[str, str], error: AgentError) -> Job[None]:
        """Stop a server that does not get on with new settings: it may do with those before.

        Raises:
            AgentError: Always.
        """
        yield Progress(95, "stopping the database: it does not start with its new settings")
        self.store[_WANTED] = False
        database.stop()
        raise AgentError(trial.refusal(new, database.last_words(200))) from error

    def _is_primary(self, seconds: float = 3.0) -> bool:
        """Whether the server belongs to the primary component; one on its way has some time."""
        database = self.database
        until = time.monotonic() + seconds
        while database.is_running:
            try:
                with session(database.directories.socket) as connection:
                    group = galera.group(connection)
                    return in_truth(group, database.directories.data).is_primary
            except UnreachableError:
                if time.monotonic() >= until:
                    break
                time.sleep(0.1)
        return False
