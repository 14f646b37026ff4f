"""What a rehearsal's databases do with passwords and dumps: they keep what they are given."""

from __future__ import annotations

import time
from typing import Annotated, Any

from conpaas.agent.base import AgentPlace, ServiceAgent
from conpaas.errors import AgentError
from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas_mysql.dump_agent import Digest, LoadId
from conpaas_mysql.parts import LoadReport


class RehearsedDumps(ServiceAgent):
    """Keeps the password's digest; the dump that was loaded last is all databases'."""

    stage: Any  #: the rehearsal's, which is made of this

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._working = False
        self._given_up = False

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
        dump = self.stage.loaded or "-- nothing was loaded\n"
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
        """Write it line by line; after the first it lasts as long as the stage says."""
        yield Progress(0, "loading")
        self.stage.begin(self, "load_dump")
        lines = dump.stream.read().decode().splitlines(keepends=True)
        self.stage.loaded = ""
        for line in lines:
            self._require()
            self.stage.loaded += line
            yield from self._last("load_dump")
        return LoadReport(sum(map(len, lines)), 0.0)

    @expose(hidden=True)
    def end_load(self, load: LoadId) -> None:
        """Give up what is being loaded; return when it has ended."""
        self._give_up()

    # -- what takes long ----------------------------------------------------------------------

    def _last(self, what: str) -> Job[None]:
        self._working, self._given_up = True, False
        try:
            while what in self.stage.lasting:
                if self._given_up:
                    raise AgentError("it was given up")
                self._require()
                yield Progress(50, what)
                time.sleep(0.01)
        finally:
            self._working = False

    def _give_up(self) -> None:
        while self._working:
            self._given_up = True
            time.sleep(0.01)

    def _require(self) -> None:
        """Raise when the database does not take queries, or its machine is gone."""
        address: Any = self.place.address
        is_me = self.stage.agents.get(address) is self
        if not is_me or not self.stage.world.takes_queries(address):
            raise AgentError("WSREP has not yet prepared node for application use")
