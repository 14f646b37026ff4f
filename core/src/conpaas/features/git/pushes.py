"""What a push makes: a code version for each service whose directory has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from conpaas.errors import ConPaaSError, InvalidError, TooLargeError, UnreachableError
from conpaas.features.code.manager import CodeManager
from conpaas.features.git.host_key import STORE
from conpaas.features.git.keeping import Keeper
from conpaas.features.git.repository import DEFAULT_BRANCH, Entry, GitError, Repository
from conpaas.manager.place import ApplicationPlace

#: The branches of which code versions are made.
BRANCHES = (DEFAULT_BRANCH, "main")
MAX_BRANCHES = 1000  #: branches and tags of a repository
MAX_ENTRIES = 10_000  #: in its top directory
_NOTHING = "0"
_NOT_NOW = "ConPaaS: {what} could not be kept yet ({why}): the manager tries again by itself."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """What a push does to a branch or tag; ``new`` is the commit in hex."""

    new: str
    ref: str

    @classmethod
    def of(cls, line: str) -> Update:
        """Read a line as git gives it to its hooks."""
        _, new, ref = line.split(" ", 2)
        return cls(new, ref)

    @property
    def deletes(self) -> bool:
        """Whether the branch or tag goes."""
        return not self.new.strip(_NOTHING)

    @property
    def branch(self) -> str | None:
        """The branch of which versions are made, if it is one of those."""
        return next((name for name in BRANCHES if self.ref == f"refs/heads/{name}"), None)


class Pushes:
    """Judges pushes to a repository, and makes code versions of them.

    Every step may be cut off: what was pushed and not dealt with is found by :meth:`catch_up`.

    Args:
        place: The application's manager.
        repository: What is pushed to.
        later: Called when something is left over for :meth:`catch_up`.
    """

    def __init__(
        self,
        place: ApplicationPlace,
        repository: Repository,
        later: Callable[[], None] = lambda: None,
    ) -> None:
        self._place = place
        self._repository = repository
        self._keeper = Keeper(place, repository)
        self._later = later
        self._store = place.shared(STORE)
        #: Versions are made one after the other, whoever pushes.
        self._lock = threading.Lock()

    # -- what the hooks ask -------------------------------------------------------------------

    def check(self, lines: list[str]) -> Iterator[str]:
        """Look at a push before anything changes.

        Raises:
            InvalidError: It must not be; nothing is left of it.
        """
        updates = [Update.of(line) for line in lines]
        for update in updates:
            if not update.ref.startswith(("refs/heads/", "refs/tags/")):
                raise InvalidError(f"{_shown(update.ref)} is refused: push branches and tags only")
        added = {update.ref for update in updates if not update.deletes}
        if added and len(added | self._repository.tips().keys()) > MAX_BRANCHES:
            raise InvalidError(
                f"the repository would have more than {MAX_BRANCHES} branches and tags: delete "
                "some (git push origin --delete NAME)"
            )
        size, limit = self._repository.size(), self._repository.limit
        if added and size > limit:
            self._repository.tidy(now=True)
            size = self._repository.size()
        if added and size > limit:
            raise TooLargeError(
                f"with this push the repository would have {_mb(size)} MB of the {_mb(limit)} MB "
                "that it may have, and nothing was changed: take large files out of its history "
                "and push that with --force. What is on no branch any more goes after a day."
            )
        yield from ()

    def accept(self, lines: list[str]) -> Iterator[str]:
        """Deal with a push that has happened; say what becomes of it."""
        versions = []
        for update in (Update.of(line) for line in lines):
            if update.deletes:
                yield f"ConPaaS: {_shown(update.ref)} is deleted; code versions made of it stay."
            elif update.branch:
                versions.append(update)
            else:
                yield (
                    f"ConPaaS: {_shown(update.ref)} is stored. No code version is made of it: "
                    f"that is done for the branches {' and '.join(BRANCHES)}."
                )
        with self._lock:
            self._repository.choose_branch(BRANCHES)
            for update in versions:
                yield from self._versions(update)
            yield from self._keep()
        self._repository.tidy()

    def catch_up(self) -> None:
        """Make the versions that earlier pushes should have, and keep what is not kept.

        Raises:
            ConPaaSError: Some of it is not possible yet.
        """
        with self._lock:
            self._repository.choose_branch(BRANCHES)
            handled = self._store.get("handled", {})
            for ref, tip in self._repository.tips().items():
                update = Update(tip, ref)
                if update.branch and handled.get(ref) != tip:
                    for said in self._versions(update):
                        logger.info("%s: %s", ref, said)
                    if self._store.get("handled", {}).get(ref) != tip:
                        raise UnreachableError("a push is not dealt with yet")
            self._keeper.keep()
            self._place.hand_over()
            self._keeper.forget_old()

    # -- how it is done -----------------------------------------------------------------------

    def _versions(self, update: Update) -> Iterator[str]:
        managers = [one for one in self._place.managers if isinstance(one, CodeManager)]
        names = self._names()
        whole = True
        try:
            there = {e.name: e for e in self._repository.entries(update.new, MAX_ENTRIES)}
        except (TooLargeError, GitError) as error:
            yield f"ConPaaS: no code version is made: {error}"
            there, managers = {}, []
        else:
            yield from _lacking(there, managers, names, self._place.application)
        for manager in managers:
            entry = there.get(str(manager.number))
            if entry is None:
                continue
            try:
                yield from self._version(manager, update.new, entry)
            except UnreachableError as error:
                whole = False
                what = f"the code of {_called(manager, names)}"
                yield _NOT_NOW.format(what=what, why=error)
            except (ConPaaSError, GitError) as error:
                yield f"ConPaaS: {_called(manager, names)}: no new code version: {error}"
        if not whole:
            self._later()
        elif self._repository.tips().get(update.ref) == update.new:
            self._store["handled"] = {**self._store.get("handled", {}), update.ref: update.new}

    def _version(self, manager: CodeManager[Any], commit: str, entry: Entry) -> Iterator[str]:
        name = f"service {manager.number}"
        if not entry.is_directory:
            raise InvalidError(f"'{entry.name}' is no directory")
        present = manager.pushed_code()
        if present is not None and present.tree == entry.object:
            yield f"ConPaaS: {name}: unchanged since {present.id}."
            return
        if known := manager.version_of_push(commit, entry.object):
            yield f"ConPaaS: {name}: code version {known.id} is there already."
            return
        for inner in self._repository.entries(
            entry.object, self._place.limits.members, recursive=True
        ):
            if inner.is_submodule:
                raise InvalidError(
                    f"{entry.name}/{_shown(inner.name)} is a submodule, whose files are in "
                    "another repository: add the files themselves"
                )
        limit = self._place.limits.upload
        with self._repository.archive(commit, entry.object, name, limit) as stream:
            version = manager.take_push(
                stream, commit, entry.object, self._repository.subject(commit)
            )
        if manager not in self._place.managers:
            manager.drop_code(version)
            raise InvalidError(f"{name} has been removed meanwhile")
        command = f"cps-{manager.service.name}"
        where = f"{self._place.application} {manager.number}"
        yield f"ConPaaS: {name}: new code version {version.id}."
        yield f"    to see it:    {command} list_codes {where}"
        yield f"    to enable it: {command} enable_code {where} {version.id}"

    def _keep(self) -> Iterator[str]:
        try:
            self._keeper.keep()
        except TooLargeError as error:
            yield (
                "ConPaaS: warning: if the manager's machine is lost, the repository is lost with "
                f"it, and you must push again: {error}. Code versions are safe."
            )
        except (ConPaaSError, GitError) as error:
            self._later()
            yield _NOT_NOW.format(what="a copy of the repository", why=error)
        try:
            self._place.hand_over()
            self._keeper.forget_old()
        except ConPaaSError as error:
            self._later()
            yield _NOT_NOW.format(what="a note of this push", why=error)

    def _names(self) -> dict[int, str]:
        try:
            return {service.sid: service.name for service in self._place.desk.list_services()}
        except ConPaaSError as error:
            logger.info("the names of the services are not known: %s", error)
            return {}


def _lacking(
    there: dict[str, Entry],
    managers: list[CodeManager[Any]],
    names: dict[int, str],
    application: int,
) -> Iterator[str]:
    """Say which directories belong to no service, and how to make those that do."""
    numbers = {str(manager.number): manager for manager in managers}
    for name in sorted(name for name in there if name.isdecimal() and name not in numbers):
        yield (
            f"ConPaaS: directory {name[:20]}: application {application} has no service "
            f"{name[:20]} that takes code; it is stored."
        )
    lacking = [manager for number, manager in numbers.items() if number not in there]
    if not managers:
        yield (
            f"ConPaaS: application {application} has no service that takes code: add one "
            "(cps-service get_types), and push again."
        )
    for manager in lacking if len(lacking) == len(managers) else []:
        yield f"ConPaaS: there is no directory {manager.number} for {_called(manager, names)}."
    if lacking and len(lacking) == len(managers):
        first = lacking[0].number
        yield (
            "ConPaaS: no code version is made: a service's code goes into a directory that is "
            "named after its number:"
        )
        yield f"    mkdir {first}        and put the files there"
        yield f"    git add {first} && git commit -m 'Code of service {first}' && git push"


def _called(manager: CodeManager[Any], names: dict[int, str]) -> str:
    name = names.get(manager.number, "")
    return f"service {manager.number} ({manager.service.name}{f' {name!r}' if name else ''})"


def _shown(name: str) -> str:
    short = name.removeprefix("refs/heads/").removeprefix("refs/tags/")[:100]
    text = "".join(c if c.isprintable() else "?" for c in short)
    return f"'{text}'"


def _mb(size: int) -> str:
    return f"{size / (1 << 20):.1f}"
