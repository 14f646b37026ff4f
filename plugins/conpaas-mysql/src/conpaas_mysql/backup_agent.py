"""The part of an agent that writes backups of its cluster, tries them and reads them back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from conpaas.agent.base import AgentPlace
from conpaas.beside import beside
from conpaas.errors import AgentError, InvalidError
from conpaas.features.backups.agent import BackupAgent
from conpaas.rpc import Download, Job, Progress, Upload, expose, scaled
from conpaas_mysql import backup_file, loading, throwaway, trial_room, user_accounts
from conpaas_mysql.backup_file import BackupFile
from conpaas_mysql.client import session
from conpaas_mysql.directories import administrator
from conpaas_mysql.dump_agent import DumpAgent
from conpaas_mysql.dumping import SYSTEM_DATABASES, quoted
from conpaas_mysql.status import used

#: Seconds that a statement about a database or an account may take: all members carry it out.
_PATIENCE = 600.0

Content = Annotated[Upload, "The backup"]


class DatabaseBackupAgent(DumpAgent, BackupAgent):
    """Works with backups of the whole cluster, as the administrator."""

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._backup_work: threading.Event | None = None

    def on_boot(self) -> None:
        """Remove what is left of trials that were cut off."""
        super().on_boot()
        for base in self._bases():
            throwaway.clear_away(base)

    @expose(reads=True, hidden=True)
    def write_database_backup(self) -> Download:
        """Stream a consistent backup: all databases, and the accounts that users have made."""
        pieces = backup_file.write(self.database.directories.socket)
        return Download(self._noting(pieces), "backup.sql.gz")

    @expose(gives_way=True)
    def try_database_backup(self, content: Content) -> Job[str]:
        """Read a backup into a server that is thrown away, and tell what is in it.

        Raises:
            InvalidError: It is broken; says how.
            AgentError: There is no room for the trial, or no more, or no server for it.
        """
        file = BackupFile(content)
        with self._working() as given_up:
            size = yield from scaled(file.check(), 0, 20)
            base = self._base_for(size)
            yield Progress(20, "starting a server that is thrown away")
            with throwaway.throwaway(base) as socket:
                loads = _load(file, socket, given_up)
                loaded = trial_room.while_room(loads, base, self.place.node)
                yield from scaled(loaded, 20, 70)
                yield Progress(70, "making the accounts")
                with session(socket, seconds=_PATIENCE) as connection:
                    user_accounts.replace(connection, file.accounts())
                found = yield from beside(
                    lambda _: throwaway.examine(socket),
                    lambda: Progress(80, "looking at every table"),
                )
        return found

    @expose()
    def read_database_backup(self, content: Content) -> Job[None]:
        """Put a backup in the place of all databases and accounts of users; members follow.

        The account ``mysqldb`` keeps its present password.

        Raises:
            InvalidError: It is broken; if it is found so at once, nothing was changed.
            AgentError: The database refuses something.
        """
        file = BackupFile(content)
        socket = self.database.directories.socket
        with self._working() as given_up:
            accounts = file.accounts()
            yield from scaled(file.check(), 0, 20)
            yield Progress(20, "removing the databases that there are")
            with session(socket, seconds=_PATIENCE) as connection:
                names = connection.rows("SHOW DATABASES")
                for (name,) in names:
                    if name not in SYSTEM_DATABASES:
                        connection.run(f"DROP DATABASE IF EXISTS {quoted(name)}")
            yield from scaled(_load(file, socket, given_up), 20, 95)
            yield Progress(95, "making the accounts again")
            with session(socket, seconds=_PATIENCE) as connection:
                left_out = user_accounts.replace(connection, accounts)
        for told in left_out:
            self.log.warning("a right was left out: %s", told)
        self.log.info("a backup of %d bytes was read", content.size or 0)

    @expose(hidden=True)
    def end_backup_work(self) -> None:
        """Give up what is being done with a backup; return when it has ended."""
        until = time.monotonic() + _PATIENCE
        while (present := self._backup_work) is not None:
            present.set()
            if time.monotonic() > until:
                raise AgentError("the work on a backup does not end: try again")
            time.sleep(0.05)

    @contextmanager
    def _working(self) -> Iterator[threading.Event]:
        given_up = self._backup_work = threading.Event()
        try:
            yield given_up
        finally:
            self._backup_work = None

    def _bases(self) -> list[Path]:
        """Return where trials may be made: the machine's own disk, then the volume of the data."""
        bases = [self.root / "var/lib/conpaas-mysql"]
        with suppress(AgentError):  # it runs no database yet
            bases.append(self.database.directories.volume)
        return [base for base in bases if base.is_dir()]

    def _base_for(self, size: int) -> Path:
        """Return where there is room for the trial of so many bytes of SQL."""
        live = 0
        with suppress(AgentError):  # it runs no database yet
            live = used(self.database.directories)
        return trial_room.place_for(self._bases(), size, live, self.place.node)


def _load(file: BackupFile, socket: Path, given_up: threading.Event) -> Job[None]:
    try:
        yield from loading.load(file.dump, socket, given_up, administrator())
    except InvalidError as error:
        raise InvalidError(f"the backup is broken: {error}") from error
