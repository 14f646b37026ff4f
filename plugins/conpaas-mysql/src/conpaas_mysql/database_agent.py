"""The part of an agent that runs a database."""

from __future__ import annotations

from typing import Annotated

from conpaas.features.volumes.agent import VolumeAgent
from conpaas.rpc import Job, expose
from conpaas.schema import Option
from conpaas_mysql.parts import ClusterSecrets, DatabasePart, DatabaseStatus, Position


class DatabaseAgent(VolumeAgent):
    """Runs MariaDB with Galera; every operation may be repeated."""

    @expose()
    def configure_database(
        self,
        part: Annotated[DatabasePart, "What it does"],
        secrets: Annotated[ClusterSecrets, "What the members share", Option(secret=True)],
    ) -> bool:
        """Write what the database needs to know; what can change while it runs is changed at once.

        It is not started, and not started again.  Returns whether anything is new.
        """
        raise NotImplementedError

    @expose(resumes=True)
    def create_database(self) -> Job[None]:
        """Set up an empty data directory, and run the first member of a new cluster on it.

        Raises:
            AgentError: There is data already: nothing happens to it.
        """
        raise NotImplementedError

    @expose(resumes=True)
    def bootstrap_database(self) -> Job[None]:
        """Run the first member of a cluster on the data that is here; the others join it.

        Only the manager may decide this: it knows that no other runs, and that none has more.
        One that is primary already is left alone.
        """
        raise NotImplementedError

    @expose(resumes=True)
    def join_database(self) -> Job[None]:
        """Run a member, and wait until it has all that the others have and takes queries.

        Raises:
            AgentError: It does not get there; tells the last words of its log.
        """
        raise NotImplementedError

    @expose(resumes=True)
    def promote_database(self) -> Job[None]:
        """Have a running member that lost the others go on alone (``pc.bootstrap``).

        Only the manager may decide this: it has made sure that the others do not run.
        """
        raise NotImplementedError

    @expose(resumes=True)
    def stop_database(self) -> Job[None]:
        """Stop the server in order, when its sessions had some time to end; none is fine."""
        raise NotImplementedError

    @expose(reads=True, hidden=True)
    def get_database_status(self) -> DatabaseStatus:
        """Return how the database is; quick, and without waiting for a server that hangs."""
        raise NotImplementedError

    @expose()
    def recover_position(self) -> Position:
        """Return what a database that does not run has (it takes a second or two).

        Raises:
            AgentError: It runs.
        """
        raise NotImplementedError
