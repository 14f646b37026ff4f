"""The settings of the databases, as users change them."""

from __future__ import annotations

from math import inf

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.kept_settings import to_store
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.state import State
from conpaas_mysql.charts import MEMORY_LIMIT
from conpaas_mysql.faults import name_of
from conpaas_mysql.looking import SETTINGS
from conpaas_mysql.settings import (
    AUTO,
    MB,
    BufferPool,
    CharacterSet,
    Connections,
    DumpLimit,
    MariabackupAbove,
    MysqlConfig,
    Packet,
    SingleWriter,
    SuspectAfter,
    SyncWait,
    VolumeMegabytes,
    WaitTimeout,
    size_in_bytes,
)
from conpaas_mysql.settling import SettlingManager


class SettingsManager(SettlingManager):
    """Offers ``get_mysql_config`` and ``set_mysql_config``."""

    @expose(reads=True)
    def get_mysql_config(self) -> MysqlConfig:
        """Show the settings of the databases."""
        return self.config

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
    )
    def set_mysql_config(
        self,
        max_connections: Connections = None,
        innodb_buffer_pool_size: BufferPool = None,
        character_set: CharacterSet = None,
        single_writer: SingleWriter = None,
        sync_wait: SyncWait = None,
        wait_timeout: WaitTimeout = None,
        max_allowed_packet: Packet = None,
        volume_size: VolumeMegabytes = None,
        mariabackup_above: MariabackupAbove = None,
        dump_limit: DumpLimit = None,
        suspect_after: SuspectAfter = None,
    ) -> Job[MysqlConfig]:
        """Set how the databases run; what is not given stays as it is.

        What can change while a database runs is changed at once.  For the rest the databases are
        started again, one after the other, so that one always answers when there are several; a
        single one is away for some seconds.  What a database refuses is taken back on all.
        """
        config = self.config.changed(
            {
                "max_connections": max_connections,
                "innodb_buffer_pool_size": innodb_buffer_pool_size,
                "character_set": character_set,
                "single_writer": single_writer,
                "sync_wait": sync_wait,
                "wait_timeout": wait_timeout,
                "max_allowed_packet": max_allowed_packet,
                "volume_size": volume_size,
                "mariabackup_above": mariabackup_above,
                "dump_limit": dump_limit,
                "suspect_after": suspect_after,
            }
        )
        if config.volume_size > self.place.volume_limit:
            raise InvalidError(
                f"volume_size: a volume may have at most {self.place.volume_limit} MB, not "
                f"{config.volume_size}"
            )
        self._check_memory(config)
        # The state is seen before the first step: from then on it is ADAPTING.
        runs = bool(self.nodes) if self.place.resuming else self.state is State.RUNNING
        if runs and not self.place.resuming:
            self._check_with_databases(config)
        yield Progress(0, "changing the settings of the databases")
        if runs:
            try:
                yield from scaled(self.settle(config), 0, 90)
            except ConPaaSError as error:
                yield Progress(90, f"going back to what was set before, because: {error}")
                yield from scaled(self.settle_anyhow(), 90, 100)
                raise
        self.store[SETTINGS] = to_store(config)
        return config

    def _check_with_databases(self, config: MysqlConfig) -> None:
        """Refuse what the databases' own program refuses; who does not answer is told later."""
        settings = config.to_server()
        ask = self.ask_each(lambda agent: agent.check_settings(settings=settings), self.databases)
        for node, answer in ask:
            if isinstance(answer, InvalidError):
                raise InvalidError(f"{name_of(node)} ({node.address}): {answer}")

    def _check_memory(self, config: MysqlConfig) -> None:
        """Refuse more memory for data than a machine has: its database would not start."""
        if config.innodb_buffer_pool_size in (AUTO, self.config.innodb_buffer_pool_size):
            return
        _, told = self.place.samples.latest()
        limits = [told.get(node.id, {}).get((MEMORY_LIMIT, ()), inf) for node in self.databases]
        least = min(limits, default=inf)
        if size_in_bytes(config.innodb_buffer_pool_size) >= least:
            raise InvalidError(
                f"innodb_buffer_pool_size is {config.innodb_buffer_pool_size}: a database's "
                f"machine has {int(least) // MB} MB of memory, for everything; take less, or "
                f"{AUTO}"
            )
