"""The part of an agent that changes the user's password, dumps and loads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, TypeVar

import msgspec

from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError, ConPaaSError
from conpaas.rpc import Download, Job, Upload, expose, scaled
from conpaas.schema import Option
from conpaas_mysql import accounts, dumping, loading, unreplicated
from conpaas_mysql.database_agent import DatabaseAgent
from conpaas_mysql.dump_file import DumpFile
from conpaas_mysql.parts import USER, LoadReport

T = TypeVar("T")
#: Seconds that a statement about accounts may take: it waits for what is before it in the cluster.
_PATIENCE = 30.0

Digest = Annotated[
    str,
    "mysql_native_password's hash, 41 characters",
    Option(secret=True),
    msgspec.Meta(pattern=r"^\*[0-9A-F]{40}$"),
]
LoadId = Annotated[str, "Chosen by who begins it, to end it by"]


class DumpAgent(DatabaseAgent):
    """Works with the user's data on a running database."""

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._dump_error = ""
        self._loading: tuple[str, threading.Event] | None = None

    @expose()
    def set_user_password(self, digest: Digest) -> None:
        """Change the password of the user's account; one that is lacking is made again."""
        with self.administer(_PATIENCE) as session:
            _sql(lambda: [session.run(one) for one in accounts.user_account(digest)])

    @expose()
    def has_user_password(self, digest: Digest) -> bool:
        """Wait for what others have done by now; return whether this is the password."""
        with self.administer(_PATIENCE) as session:
            session.run("SET SESSION wsrep_dirty_reads = OFF, wsrep_sync_wait = 15")
            rows = _sql(lambda: session.rows(_ACCOUNT, (USER, "%")))
        return bool(rows) and digest in str(rows[0][0])

    @expose(reads=True, hidden=True)
    def dump_databases(self) -> Download:
        """Stream a consistent dump of all the user's databases, as SQL."""
        return Download(self._dumped(), "dump.sql", "application/sql")

    @expose(reads=True, hidden=True)
    def get_dump_error(self) -> str:
        """Return why the last dump that broke off did so: its reader saw no more than that."""
        return self._dump_error

    @expose()
    def load_dump(
        self,
        dump: Annotated[Upload, "SQL, or that compressed by gzip"],
        load: LoadId,
        unpacked_limit: Annotated[int, "Bytes that it may have when it is unpacked"],
    ) -> Job[LoadReport]:
        """Carry out SQL with the user's own rights, once all of it has been looked at.

        Raises:
            InvalidError: A statement failed: which line, what it says, what the server says.
        """
        file = DumpFile(dump, unpacked_limit)
        file.check_beginning()
        socket = self.database.directories.socket
        begun, given_up = time.monotonic(), threading.Event()
        self._loading = (load, given_up)
        try:
            size = yield from scaled(file.check(), 0, 10)
            yield from scaled(loading.load(file, socket, given_up), 10, 99)
        finally:
            self._loading = None
        seconds = round(time.monotonic() - begun, 1)
        self.log.info("%s (%d bytes of SQL) was loaded in %s s", dump.filename, size, seconds)
        with self.administer(_PATIENCE) as session:
            note = _sql(lambda: unreplicated.note(session))
        return LoadReport(size, seconds, note)

    @expose(hidden=True)
    def end_load(self, load: LoadId) -> None:
        """Give up loading a dump, if that is still at work; return when it has ended."""
        until = time.monotonic() + _PATIENCE
        while (present := self._loading) is not None and present[0] == load:
            present[1].set()
            if time.monotonic() > until:
                raise AgentError("loading the dump does not end: stop the database")
            time.sleep(0.05)

    def _dumped(self) -> Iterator[bytes]:
        # Here, not at the first piece: what fails at once is an answer, not a broken stream.
        pieces = dumping.dump(self.database.directories.socket)
        return self._noting(pieces)

    def _noting(self, pieces: Generator[bytes, None, None]) -> Iterator[bytes]:
        with contextlib.closing(pieces):
            try:
                yield from pieces
            except ConPaaSError as error:
                self._dump_error = str(error)
                self.log.error("a dump broke off: %s", error)
                raise


def _sql(work: Callable[[], T]) -> T:
    """Do something with the database.

    Raises:
        AgentError: It fails; in the server's words.
    """
    # Late: clients import this file, and need none of it.
    import pymysql

    try:
        return work()
    except pymysql.Error as error:
        raise AgentError(f"the database refuses: {error.args[-1]}") from error


#: What the server keeps of an account, as JSON.
_ACCOUNT = "SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = %s"
