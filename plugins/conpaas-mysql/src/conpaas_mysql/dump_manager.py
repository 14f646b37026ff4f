"""The user's password, dumps, and loading them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Annotated

from conpaas.beside import beside
from conpaas.errors import AgentError, ConPaaSError, UnreachableError
from conpaas.manager.base import Node
from conpaas.rpc import Download, Job, Progress, Upload, expose, scaled
from conpaas.state import State
from conpaas_mysql.accounts import digest
from conpaas_mysql.cluster_manager import ClusterManager
from conpaas_mysql.dump_file import DumpFile
from conpaas_mysql.parts import USER, LoadReport
from conpaas_mysql.passwords import NewPassword
from conpaas_mysql.sending import sent

_LOADING = "loading"  #: key of the store: the node that loads a dump, and which load it is
#: What is told of a load of which nobody knows how far it came.
_STAYS = (
    "What it had carried out until then stays: statements from the beginning of the dump on, "
    "perhaps none. Look what is there before you load it again"
)


class DumpManager(ClusterManager):
    """Offers ``set_password``, ``dump`` and ``load_dump``."""

    @expose(
        states=(State.RUNNING,), done=f"MySQL password successfully updated for user '{USER}'."
    )
    def set_password(self, password: NewPassword) -> None:
        """Set the password of the user 'mysqldb', on all nodes at once.

        Connections that are open stay so.  An account that was dropped, or lost some of its
        rights, has them again.  The password itself is kept nowhere.
        """
        # Only this leaves the process, and the databases know no more either.
        kept = digest(password)
        first = self.a_database()
        self.agent(first).set_user_password(digest=kept)
        others = [node for node in self.databases if node.id != first.id]
        for node, has in self.ask_each(lambda agent: agent.has_user_password(digest=kept), others):
            # One that does not take queries now has the password as soon as it does.
            if isinstance(has, ConPaaSError):
                self.log.warning("the new password at %s: %s", node.id, has)
            elif not has:
                raise AgentError(f"{node.id} has not taken the password: try again")
        self.log.info("the password of %s was set", USER)

    @expose(reads=True, prints=True, states=(State.RUNNING,))
    def dump(self) -> Download:
        """Dump all databases, as they are at one moment, as SQL.

        Whoever writes meanwhile is not held up.  Accounts and their rights are not in a dump.
        """
        node = self.a_database()
        dumped = self.agent(node).dump_databases()
        name = f"{self.place.service_names().get(self.number, 'mysql')}.sql"
        return Download(self._noting(node, dumped.pieces), name, "application/sql")

    @expose(
        states=(State.RUNNING,),
        resumes=True,
        done="MySQL dump '{filename}' loaded successfully.",
        confirm="What the dump holds takes the place of what the databases hold under the same "
        "names.",
    )
    def load_dump(
        self, filename: Annotated[Upload, "SQL, or that compressed by gzip"]
    ) -> Job[LoadReport]:
        """Carry out a dump: SQL, or SQL compressed by gzip, with the rights of 'mysqldb'.

        All of it is looked at before the first statement is carried out.  It ends at a statement
        that fails, and says which; what stands before that has been carried out.  Other nodes
        that are lost meanwhile are replaced; it ends when its own node is, or the manager.
        """
        if filename.is_gone:
            yield from self._take_up()
            raise AgentError(f"loading the dump was interrupted by a restart. {_STAYS}")
        limit = self.config.dump_limit << 20
        file = DumpFile(filename, limit)
        if (filename.size or 0) > limit:
            raise file.too_large(client=self.get_address().command)
        file.check_beginning()
        node = self.a_database()
        load = secrets.token_hex(8)
        yield Progress(0, f"sending {filename.filename} to {node.id}")
        self.store[_LOADING] = [node.id, load]
        try:
            report = yield from self.attended(self._load(node, filename, load, limit))
        except GeneratorExit:
            self._end_load(node, load)
            raise
        except Exception:
            self.store.pop(_LOADING, None)
            raise
        self.store.pop(_LOADING, None)
        self.log.info("%s was loaded by %s", filename.filename, node.id)
        return report

    def _load(self, node: Node, file: Upload, load: str, limit: int) -> Job[LoadReport]:
        """Have a node load a dump; it is never begun anew: a part of it may be there.

        Raises:
            AgentError: Also when the node was lost; says which, and what there may be.
        """
        try:
            return (yield from self.while_there(node, self._loading(node, file, load, limit)))
        except (AgentError, UnreachableError) as error:
            if self.is_there(node) and not isinstance(error, UnreachableError):
                raise
            told = f"{node.id} was lost while it loaded the dump ({error})"
            raise AgentError(f"{file.filename}: {told}. {_STAYS}") from error

    def _loading(self, node: Node, file: Upload, load: str, limit: int) -> Job[LoadReport]:
        agent = self.agent(node)

        def send(upload: Upload) -> Job[LoadReport]:
            return agent.load_dump(dump=upload, load=load, unpacked_limit=limit)

        file.stream.seek(0)
        loading = yield from scaled(sent(file, send), 0, 15)
        return (yield from scaled(loading, 15, 99))

    def _take_up(self) -> Job[None]:
        """End what the manager before had begun: a load, and nodes replaced beside it."""
        told = Progress(0, "the manager was restarted: ending what it had begun")
        yield told
        agent_id, load = self.store.get(_LOADING, ("", ""))
        found = next((n for n in self.place.nodes.all() if n.id == agent_id), None)
        if found is not None and self.is_there(found):
            ending = partial(self._end_load, found, load)
            yield from beside(lambda given_up: ending(), lambda: told)
        self.store.pop(_LOADING, None)
        # Whatever fails here is tried again before long.
        self.noted.is_unsettled = True
        try:
            yield from self.bring_up()
        except ConPaaSError as error:
            self.log.warning("going on, although: %s", error)

    def _end_load(self, node: Node, load: str) -> None:
        try:
            self.agent(node).end_load(load=load)
        except ConPaaSError as error:
            self.log.warning("ending the load of a dump at %s: %s", node.id, error)

    def _noting(self, node: Node, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass a dump on; that it broke off is told in the log, with the reason."""
        close = getattr(pieces, "close", None)
        with contextlib.ExitStack() as stack:
            if close is not None:
                stack.callback(close)
            try:
                yield from pieces
            except ConPaaSError as error:
                self.log.error("the dump broke off: %s", self._why(node) or error)
                raise

    def _why(self, node: Node) -> str:
        try:
            return self.agent(node).get_dump_error()
        except ConPaaSError:
            return ""  # it broke off because the node does not answer any more
