"""What the code of a web service wrote: it goes where backends go, and outlasts all of them."""

from __future__ import annotations

import abc
from collections.abc import Generator, Sequence
from typing import IO, TypeVar

from conpaas.errors import ConPaaSError, UnsavedError, WrongStateError
from conpaas.features.backups.book import BY_HAND, MANAGER, SCHEDULED, STOP, Backup
from conpaas.features.backups.manager import BackupManager
from conpaas.features.code.manager import CodeManager
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, Upload, scaled
from conpaas_web.agent import WebAgent
from conpaas_web.kept_archive import look_through
from conpaas_web.kept_copies import NAME, copy_kept
from conpaas_web.round import Round
from conpaas_web.topology import BACKEND, WEB, Topology, first_first, named
from conpaas_web.web_settings import WebSettings

A = TypeVar("A", bound=WebAgent)
#: Keys of the store: who carried what, and who has got what is kept since the places changed.
PLACED, COPIED = "placed", "copied"


class KeepingManager(CodeManager[A], BackupManager[A], abc.ABC):
    """Brings what is kept to new backends: from those there are, or as it was saved last.

    It is saved at each stop, by the schedule of backups, and by hand.  What was saved last comes
    back where no backend has anything any more: at a start, and when the only one was lost.
    """

    @abc.abstractmethod
    def drain(self, nodes: Sequence[Node]) -> Job[None]:
        """Have nodes finish what they are at, proxies first."""

    @property
    def topology(self) -> Topology:
        """Who carries what, of the nodes that serve."""
        return Topology.of(self.nodes)

    # -- steps of settling --------------------------------------------------------------------

    def bring_kept(self, this: Round) -> Job[None]:
        """Have versions share the directories, and bring new nodes what is kept in them."""
        directories = this.goal.web.kept_directories
        nodes = this.hearing(this.now.carriers)
        active = self.active_code.id
        self.ask_all(
            lambda agent: agent.keep_directories(directories=directories, active=active), nodes
        )
        if not directories:
            return
        new = [node for node in nodes if self._is_new(this, node)]
        source, saved = self._source(this), self.saved()
        if not new or (source is None and saved is None):
            return
        this.are_copied = False
        if source is None:
            source, *new = sorted(new, key=lambda node: node not in this.now.backends)
            yield from self._bring_saved(this, saved, source)
        for node in new:
            yield Progress(50, f"copying what is kept from {named([source])} to {named([node])}")
            replace = node.id not in self._copied
            yield from copy_kept(self.agent(source), [self.agent(node)], replace=replace)
            self._note_copied(node)
        this.are_copied = True

    def bring_kept_again(self, this: Round) -> Job[None]:
        """Fetch what was written while the first copy was made, where nobody writes any more."""
        source = self._source(this)
        backends = this.now.backends
        if not this.goal.web.kept_directories or source is None or source in backends:
            return
        yield Progress(0, f"copying once more from {named([source])}")
        this.are_copied = False
        yield from copy_kept(self.agent(source), [self.agent(node) for node in backends])
        this.are_copied = True

    def can_bring_kept(self, this: Round) -> bool:
        """Whether there is still something to bring what is kept from."""
        source = self._source(this)
        return source in self.nodes or (source is None and self.saved() is not None)

    # -- a stop -------------------------------------------------------------------------------

    def check_save(self) -> None:
        """Refuse to stop where what is kept cannot be asked for, or has no room."""
        size = 0
        for node, answer in self.ask_each(lambda agent: agent.measure_kept(), self._holders()):
            if isinstance(answer, ConPaaSError):
                raise UnsavedError(
                    f"{named([node])} cannot be asked for its kept directories ({answer}): wait "
                    "until it answers or is replaced, or stop with --unsaved to give up what was "
                    "written there since the last backup"
                )
            size += answer
        most = self.place.backup_limit
        if self.backups.schedule.place == MANAGER and size > most:
            raise UnsavedError(
                f"the kept directories have {size} bytes, and the manager keeps {most}: delete "
                "what is not needed, have backups kept on a volume (set_backup_schedule --place), "
                "or make a backup and stop with --unsaved, which gives up what is written after it"
            )

    def save(self) -> Job[None]:
        """Have the code finish, and make a backup of what it wrote; the one before goes."""
        yield Progress(0, "winding the service down")
        if not self._holders():
            self._refuse_to_lose()
            return
        yield from scaled(self.drain(self.nodes), 0, 40)
        made = yield from scaled(self.make_backup(STOP), 40, 95)
        for old in self.backups.all():
            if old.kind == STOP and old.name != made.name:
                self.backups.doom(old)
        self.clear_away()

    def saved(self) -> Backup | None:
        """Return what was saved or restored last; before a restore it is not what users want."""
        return self.backups.newest(STOP, SCHEDULED, BY_HAND)

    # -- backups ------------------------------------------------------------------------------

    def write_backup(self) -> Generator[bytes, None, None]:
        """Return what each backend keeps, one archive after the other."""
        if not self._directories:
            raise WrongStateError(
                f"service {self.number} keeps no directories: name them by set_web_config "
                "--kept_directories"
            )
        holders = self._holders()
        if not holders:
            raise WrongStateError(f"no backend of service {self.number} has what is kept yet")
        for node in holders:
            yield from self.agent(node).pack_kept().pieces

    def check_backup(self, content: IO[bytes], size: int) -> Job[str]:
        """Read a backup from its beginning to its end."""
        return (yield from look_through(content))

    def read_backup(self, content: IO[bytes], size: int) -> Job[None]:
        """Put what is in a backup in the place of what all nodes keep."""
        if not self._directories:
            raise WrongStateError(
                f"service {self.number} keeps no directories, into which it could be put: name "
                "them by set_web_config --kept_directories"
            )
        first, *others = dict.fromkeys((*self.topology.backends, *self.topology.carriers))
        yield Progress(0, f"sending the backup to {named([first])}")
        self.agent(first).unpack_kept(archive=Upload(content, NAME, size), replace=True)
        targets = [self.agent(node) for node in others]
        yield from scaled(copy_kept(self.agent(first), targets, replace=True), 50, 100)

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _directories(self) -> tuple[str, ...]:
        return WebSettings.kept_in(self.store).kept_directories

    @property
    def _copied(self) -> list[str]:
        return list(self.store.get(COPIED, []))

    def _note_copied(self, node: Node) -> None:
        # Once it has the copy, the code may write there: a second time must not undo that.
        if node.id not in self._copied:
            self.store[COPIED] = [*self._copied, node.id]

    def _bring_saved(self, this: Round, saved: Backup | None, node: Node) -> Job[None]:
        """Bring a node what was saved last."""
        if saved is None:
            return
        yield Progress(0, f"putting back what was kept: {saved.name}, to {named([node])}")
        replace = node.id not in self._copied
        try:
            yield from scaled(self._unpack(saved, node, replace=replace), 0, 50)
        except ConPaaSError as error:
            if not this.strict:
                # The code runs without it, and what it writes until it comes must stay.
                self._note_copied(node)
            raise ConPaaSError.from_json(
                error.to_json()
                | {
                    "message": f"what was kept cannot be put back from the backup {saved.name}: "
                    f"{error}. Try again, or delete that backup to go on without it"
                }
            ) from error
        self._note_copied(node)
        self.place.note(f"what the code wrote is back as it was on {saved.time} ({saved.name})")

    def _unpack(self, saved: Backup, node: Node, *, replace: bool) -> Job[None]:
        shelf = self.shelf(saved.place)
        yield from scaled(shelf.check(saved), 0, 50)
        with shelf.open(saved) as content:
            upload = Upload(content, NAME, saved.size)
            self.agent(node).unpack_kept(archive=upload, replace=replace)

    def _holders(self) -> list[Node]:
        """Return the backends that have what is kept: all that may be lost with their machines."""
        if not self._directories:
            return []
        backends = [node for node in self.topology.backends if node in self.nodes]
        if self.saved() is None:
            return backends
        known = {*self.store.get(PLACED, {}).get(BACKEND, {}), *self._copied}
        return [node for node in backends if node.id in known]

    def _refuse_to_lose(self) -> None:
        """Raise where code has run without what was kept: what it wrote is not the whole."""
        if not self._directories:
            return
        for node, parts in self.ask_each(lambda agent: agent.list_parts(), self.nodes):
            if not isinstance(parts, ConPaaSError) and BACKEND in parts:
                raise WrongStateError(
                    f"{named([node])} runs the code, and what was kept before has not been put "
                    "back there yet"
                )

    def _source(self, this: Round) -> Node | None:
        """Return the first of the backends that there were, if it is still there."""
        there = self.place.nodes.ready() + self.place.nodes.leaving()
        before = [node for node in there if node.id in this.before.get(BACKEND, {})]
        return next(iter(first_first(before)), None)

    def _is_new(self, this: Round, node: Node) -> bool:
        """Whether what is kept has to be brought to a node that carries code."""
        if node.id in this.before.get(BACKEND, {}):
            return False
        return node in this.now.backends or node.id not in this.before.get(WEB, {})
