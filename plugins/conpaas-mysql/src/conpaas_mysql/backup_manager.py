"""Backups of the whole cluster: written by one database, tried and read back by one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import IO, TypeVar

from conpaas.api import VolumeInfo
from conpaas.errors import AgentError, BusyError, ConPaaSError, InvalidError, UnreachableError
from conpaas.features.backups.manager import BackupManager
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, Upload, scaled
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.dump_manager import DumpManager
from conpaas_mysql.parts import data_volume
from conpaas_mysql.sending import sent

T = TypeVar("T")
#: Seconds between two tries, and how many are made: what was given up ends in a moment.
_PAUSE, _TRIES = 0.3, 30


class DatabaseBackupManager(DumpManager, BackupManager[MysqlAgent]):
    """Answers for backups: what is in one is all databases, and the accounts that users made.

    The password of ``mysqldb`` is in none: a restore leaves it as it is.
    """

    def write_backup(self) -> Generator[bytes, None, None]:
        """Return the pieces of a consistent backup."""
        agent = self.agent(self.a_database())
        try:
            yield from agent.write_database_backup().pieces
        except UnreachableError as error:
            # The stream just broke: the agent knows why, if it is there.
            try:
                why = agent.get_dump_error()
            except ConPaaSError:
                raise error from None
            raise AgentError(f"the backup broke off: {why or error}") from error

    def check_backup(self, content: IO[bytes], size: int) -> Job[str]:
        """Read a backup into a server that is thrown away, on a node that has a database."""
        return (yield from self._with(content, size, lambda a, u: a.try_database_backup(u)))

    def read_backup(self, content: IO[bytes], size: int) -> Job[None]:
        """Put a backup in the place of all databases and accounts of users."""
        yield from self._with(content, size, lambda a, u: a.read_database_backup(u))

    def footing(self) -> object | None:
        """Return where each database runs, and since when; None if not all take queries."""
        picture = self.look()
        if len(picture.primary) < len(picture.nodes):
            return None
        return {
            name: (picture.nodes[name].id, status.started)
            for name, status in picture.statuses.items()
        }

    def check_backup_place(self, volume: VolumeInfo) -> None:
        """Refuse the volumes of the data: they go with their nodes, and fill up with them."""
        if re.fullmatch(re.escape(data_volume(self.number, 0))[:-1] + r"\d+", volume.name):
            raise InvalidError(
                f"place: the volume {volume.name} has the data itself, and goes with its node: "
                "create another one for backups"
            )

    def _with(
        self,
        content: IO[bytes],
        size: int,
        begin: Callable[[MysqlAgent, Upload], Job[T]],
    ) -> Job[T]:
        """Send a backup to a database, and run what it does with it."""
        node = self.a_database()
        yield Progress(0, f"sending the backup to {node.id}")
        # That of a manager which was killed, or of a try that failed: it may be another's.
        self.ask_all(lambda agent: agent.end_backup_work(), self.databases)
        return (yield from self.while_there(node, self._work(node, content, size, begin)))

    def _work(
        self,
        node: Node,
        content: IO[bytes],
        size: int,
        begin: Callable[[MysqlAgent, Upload], Job[T]],
    ) -> Job[T]:
        agent, upload = self.agent(node), Upload(content, "the backup", size)
        try:
            sending = sent(upload, lambda file: _again(lambda: begin(agent, file), content))
            job = yield from scaled(sending, 0, 10)
            return (yield from scaled(job, 10, 100))
        except GeneratorExit:
            with suppress(ConPaaSError):  # who does not answer ends it before the next begins
                agent.end_backup_work()
            raise


def _again(begin: Callable[[], T], content: IO[bytes]) -> T:
    """Begin with a backup, again as long as what was given up is still about to end."""
    for _ in range(_TRIES):
        try:
            return begin()
        except BusyError:
            content.seek(0)
            time.sleep(_PAUSE)
    return begin()
