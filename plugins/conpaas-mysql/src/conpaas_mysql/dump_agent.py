"""The part of an agent that changes the user's password, dumps and loads."""

from __future__ import annotations

from typing import Annotated

from conpaas.agent.base import ServiceAgent
from conpaas.rpc import Download, Job, Upload, expose
from conpaas.schema import Option
from conpaas_mysql.parts import LoadReport


class DumpAgent(ServiceAgent):
    """Works with the user's data on a running database."""

    @expose()
    def set_user_password(
        self,
        digest: Annotated[str, "mysql_native_password's hash, 41 characters", Option(secret=True)],
    ) -> None:
        """Change the password of the user's account; one that is lacking is made again."""
        raise NotImplementedError

    @expose(reads=True, hidden=True)
    def dump_databases(self) -> Download:
        """Stream a consistent dump of all the user's databases, as SQL."""
        raise NotImplementedError

    @expose()
    def load_dump(
        self, dump: Annotated[Upload, "SQL, or that compressed by gzip"]
    ) -> Job[LoadReport]:
        """Carry out SQL with the user's own rights.

        Raises:
            InvalidError: A statement failed: which line, what it says, what the server says.
        """
        raise NotImplementedError
