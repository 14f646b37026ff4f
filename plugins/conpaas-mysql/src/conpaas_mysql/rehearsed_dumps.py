"""What a rehearsal's databases do with passwords and dumps: they keep what they are given."""

from __future__ import annotations

from typing import Annotated

from conpaas.agent.base import ServiceAgent
from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas_mysql.dump_agent import Digest, LoadId
from conpaas_mysql.parts import LoadReport


class RehearsedDumps(ServiceAgent):
    """Keeps the password's digest and the dump that was loaded last."""

    @expose()
    def set_user_password(self, digest: Digest) -> None:
        """Keep it."""
        self.store["digest"] = digest

    @expose()
    def has_user_password(self, digest: Digest) -> bool:
        """Agree: what one database keeps, all have."""
        return True

    @expose(reads=True, hidden=True)
    def dump_databases(self) -> Download:
        """Return what was loaded last."""
        dump = str(self.store.get("dump", "-- nothing was loaded\n"))
        return Download(iter([dump.encode()]), "dump.sql", "application/sql")

    @expose(reads=True, hidden=True)
    def get_dump_error(self) -> str:
        """Know of none."""
        return ""

    @expose()
    def load_dump(
        self,
        dump: Annotated[Upload, "SQL"],
        load: LoadId,
        unpacked_limit: Annotated[int, "Bytes that it may have when it is unpacked"],
    ) -> Job[LoadReport]:
        """Keep it."""
        text = dump.stream.read().decode()
        yield Progress(50, "loading")
        self.store["dump"] = text
        return LoadReport(len(text), 0.0)

    @expose(hidden=True)
    def end_load(self, load: LoadId) -> None:
        """Have nothing to end."""
