"""What a rehearsal's databases do with backups: the contents of a whole cluster are one text."""

from __future__ import annotations

from typing import Annotated

from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas_mysql.rehearsed_dumps import RehearsedDumps

#: What there is while a backup is being loaded: neither the old nor the new.
HALF = "half of it"


class RehearsedBackups(RehearsedDumps):
    """Writes down and replaces the contents, as long as its database takes queries."""

    @expose(reads=True, hidden=True)
    def write_database_backup(self) -> Download:
        """Return the contents."""
        return Download(iter([self.stage.contents.encode()]), "backup.sql.gz")

    @expose(gives_way=True)
    def try_database_backup(self, content: Annotated[Upload, "The backup"]) -> Job[str]:
        """Look at a backup for as long as the stage says."""
        yield Progress(0, "trying")
        self.stage.begin(self, "try_database_backup")
        size = len(content.stream.read())
        yield from self._last("try_database_backup")
        return f"{size} bytes"

    @expose()
    def read_database_backup(self, content: Annotated[Upload, "The backup"]) -> Job[None]:
        """Replace the contents, which lasts as long as the stage says."""
        yield Progress(0, "loading")
        self.stage.begin(self, "read_database_backup")
        text = content.stream.read().decode()
        self._write(HALF)
        yield from self._last("read_database_backup")
        self._write(text)

    @expose(hidden=True)
    def end_backup_work(self) -> None:
        """Give up what is being done with a backup; return when it has ended."""
        self._give_up()

    def _write(self, text: str) -> None:
        self._require()
        self.stage.contents = text
