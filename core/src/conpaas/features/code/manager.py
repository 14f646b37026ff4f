"""The manager's part of code versions: users upload them, enable them, get them back."""

from __future__ import annotations

import abc
import datetime as dt
import functools
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, TypeVar

import msgspec

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.features.code.agent import CodeAgent
from conpaas.features.code.archives import BadArchiveError, Contents, Limits, inspect
from conpaas.features.code.members import shown
from conpaas.features.code.versions import CodeBook, CodeVersion
from conpaas.features.git.operations import RepositoryOperations
from conpaas.manager.base import Node, ServiceManager
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import Download, Job, Progress, Upload, expose, scaled
from conpaas.schema import Option
from conpaas.state import State

A = TypeVar("A", bound=CodeAgent)

CodeVersionId = Annotated[
    str, "Id of a code version, as list_codes shows it", Option(metavar="code_version")
]
MAX_DESCRIPTION = 200  #: characters
Description = Annotated[str, "What is new in it", msgspec.Meta(max_length=MAX_DESCRIPTION)]


@dataclass(frozen=True)
class CodeInfo:
    """A row of ``list_codes``; ``current`` is a star for the active version."""

    current: str
    codeVersionId: str  # noqa: N815 - users know the column by this name
    filename: str
    description: str
    time: str


@dataclass(frozen=True)
class UploadedCode(CodeInfo):
    """A version that was uploaded; ``note`` tells what may not be meant so, if anything."""

    note: str = ""


@dataclass(frozen=True)
class CodeLimits:
    """How large an archive may be: packed and unpacked in bytes, and how many files in it."""

    upload: int
    unpacked: int
    members: int


class CodeManager(RepositoryOperations[A], ServiceManager[A]):
    """Directs the nodes of a service that runs what its users upload.

    Given to users:
        ``upload_code``, ``list_codes``, ``enable_code``, ``download_code``, ``delete_code``; by
        git: ``get_repository``, ``upload_key``, ``list_keys``, ``remove_key``.

    Must define:
        ``initial_code()``: the name and the content of the archive that the service begins with.
        ``put_code(version, nodes)``: make nodes run a version; idempotent, for it is also called
        for nodes that run it already, and for the old version when the new one fails.

    May override:
        ``check_code(archive, contents)``, ``check_enable(version)``: raise when an archive, or a
        change of the version, must be refused.  ``note_code(contents)``: what to tell of an
        archive that is taken.  ``codes_to_keep()``: which versions nodes keep; default: the
        active one.

    Given to you:
        ``self.active_code``, ``self.codes_before`` (ids of those that were active before it),
        ``self.send_code(version, nodes)`` (an agent unpacks it and tells where by
        ``code_path(version)``), ``self.code_archive(version)``.
    """

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self._code_lock = threading.Lock()

    @abc.abstractmethod
    def initial_code(self) -> tuple[str, bytes]:
        """Return the name and the content of the archive that a new service has."""

    @abc.abstractmethod
    def put_code(self, version: CodeVersion, nodes: Sequence[Node]) -> Job[None]:
        """Make nodes run a version of the code."""

    def check_code(self, archive: Path, contents: Contents) -> None:
        """Raise when an archive that was uploaded must be refused."""

    def check_enable(self, version: CodeVersion) -> None:
        """Raise when the running service must not change to this version now."""

    def note_code(self, contents: Contents) -> str:
        """Return what to tell of an archive that was taken and may not be what is meant, or "".

        The default tells of a directory that everything lies in.
        """
        if contents.top_directory is None:
            return ""
        return (
            f"All files are in the directory '{shown(contents.top_directory)}/': upload it again "
            "with --strip to leave that out."
        )

    def codes_to_keep(self) -> list[str]:
        """Return the ids of the versions that nodes keep; the default is the active one."""
        return [self.active_code.id]

    # -- given to users -----------------------------------------------------------------------

    @expose(done="Code version '{codeVersionId}' uploaded.")
    def upload_code(
        self,
        filename: Annotated[Upload, "The archive: tar, tar.gz, tar.bz2, tar.xz or zip"],
        description: Description = "",
        strip: Annotated[bool, "Leave out the one directory that all files lie in"] = False,
    ) -> UploadedCode:
        """Upload a new version of the code; it is not used before it is enabled."""
        version, contents = self._take(
            filename.stream,
            filename.filename,
            lambda: self._codes.new_id(),
            description,
            strip=strip,
        )
        self.log.info("code version %s uploaded (%d bytes)", version.id, version.size)
        return UploadedCode(**asdict(self._code_info(version)), note=self.note_code(contents))

    @expose(reads=True, hidden=True)
    def get_code_limits(self) -> CodeLimits:
        """Tell how large an archive may be."""
        place = self.place
        return CodeLimits(place.upload_limit, place.unpacked_limit, place.members_limit)

    @expose(reads=True)
    def list_codes(self) -> list[CodeInfo]:
        """List the versions of the code, newest first."""
        return [self._code_info(version) for version in self._codes.all()]

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
        done="Code version '{codeVersionId}' enabled.",
    )
    def enable_code(self, code_version: CodeVersionId) -> Job[CodeInfo]:
        """Make a version the active one.

        When the service runs, all its nodes change to it; if that fails, they go back to the
        version before.  Otherwise it is taken at the next start or repair.
        """
        version = self._codes.find(code_version)
        if self.place.resuming:
            changes = version.id != self.active_code.id
        elif changes := self.state is State.RUNNING:
            self.check_enable(version)
        else:
            self._codes.activate(version)
        yield Progress(0, f"enabling {version.id}")
        if changes:
            yield from self._change_to(version)
        return self._code_info(version)

    @expose(reads=True)
    def download_code(
        self,
        version: Annotated[
            str | None, "Which version; default: the active one", Option(short="-v")
        ] = None,
    ) -> Download:
        """Download the archive of a version, under its original name."""
        found = self.active_code if version is None else self._codes.find(version)
        if not found.digest:
            _, content = self._initial_code
            return Download(iter([content]), found.filename, size=len(content))
        archive = self.blobs.path(found.digest)
        return Download(_pieces(archive), found.filename, size=found.size)

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        done="Code version '{code_version}' deleted.",
        confirm="The code version is lost.",
    )
    def delete_code(self, code_version: CodeVersionId) -> None:
        """Delete a version that is not the active one."""
        with self._code_lock:
            version = self._codes.find(code_version)
            self._codes.remove(version)
            if version.digest and not self._codes.uses(version.digest):
                self.blobs.delete(version.digest)
        self.log.info("code version %s deleted", version.id)

    # -- given to the git repository ----------------------------------------------------------

    def pushed_code(self) -> CodeVersion | None:
        """Return the newest version that was pushed, None when there is none."""
        return next((version for version in self._codes.all() if version.tree), None)

    def version_of_push(self, commit: str, tree: str) -> CodeVersion | None:
        """Return the version that a directory of a commit has become, None when it has not."""
        wanted = self._codes.id_of_push(commit, tree)
        return next((version for version in self._codes.all() if version.id == wanted), None)

    def take_push(self, archive: IO[bytes], commit: str, tree: str, subject: str) -> CodeVersion:
        """Keep a new version that was pushed.

        Args:
            archive: A tar.gz of the service's directory.
            commit: What was pushed.
            tree: Git's hash of that directory.
            subject: The first line of the commit's message.

        Raises:
            InvalidError: The archive must be refused; nothing is kept of it.
            TooLargeError: It is larger than an upload may be.
        """
        version, _ = self._take(
            archive,
            f"{commit[:7]}.tar.gz",
            lambda: self._codes.id_of_push(commit, tree),
            subject[:MAX_DESCRIPTION],
            tree,
        )
        self.log.info("code version %s pushed (%d bytes)", version.id, version.size)
        return version

    def drop_code(self, version: CodeVersion) -> None:
        """Let go of a version that came too late: the service is removed."""
        with self._code_lock:
            self.blobs.delete(version.digest)
            self.store.clear()

    # -- given to the service -----------------------------------------------------------------

    @property
    def active_code(self) -> CodeVersion:
        """The version that the nodes run, or will when the service starts."""
        return self._codes.active

    @property
    def codes_before(self) -> list[str]:
        """The ids of the versions that were active before, the latest first."""
        return self._codes.active_before

    def code_archive(self, version: CodeVersion) -> Path:
        """Return where the archive of a version is on this machine."""
        with self._code_lock:
            version = self._codes.find(version.id)
            if not version.digest:
                _, content = self._initial_code
                blob = self.blobs.put(io.BytesIO(content), len(content))
                version = self._codes.note_archive(version, blob.digest, blob.size)
        return self.blobs.path(version.digest)

    def send_code(self, version: CodeVersion, nodes: Sequence[Node]) -> Job[None]:
        """Have nodes unpack a version; those that have it already are left alone."""
        held = self.ask_all(lambda agent: agent.list_code(), nodes)
        lacking = [node for node, ids in zip(nodes, held, strict=True) if version.id not in ids]
        if not lacking:
            return
        yield Progress(0, f"sending {version.id} to {', '.join(node.id for node in lacking)}")
        archive = self.code_archive(version)
        size = archive.stat().st_size

        def send(agent: A) -> bool:
            with archive.open("rb") as stream:
                return agent.update_code(
                    version=version.id,
                    archive=Upload(stream, version.filename, size),
                    unpacked_limit=self._limits.unpacked,
                    members_limit=self._limits.members,
                    strip=version.strip,
                )

        self.ask_all(send, lacking)

    # -- how it is done -----------------------------------------------------------------------

    def _take(
        self,
        stream: IO[bytes],
        filename: str,
        new_id: Callable[[], str],
        description: str,
        tree: str = "",
        *,
        strip: bool = False,
    ) -> tuple[CodeVersion, Contents]:
        """Look into an archive and keep it as a new version; refused, nothing is left of it."""
        blob = self.blobs.put(stream, self.place.upload_limit)
        # From here on the blob must not go because another version of the same content goes.
        with self._code_lock:
            try:
                archive = self.blobs.path(blob.digest)
                contents = inspect(archive, self._limits, filename, strip=strip)
                self.check_code(archive, contents)
            except (BadArchiveError, ConPaaSError) as error:
                if not self._codes.uses(blob.digest):
                    self.blobs.delete(blob.digest)
                if isinstance(error, BadArchiveError):
                    raise InvalidError(f"{filename} is refused: {error}") from error
                raise
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            version = CodeVersion(
                new_id(), filename, description, now, blob.digest, blob.size, tree, strip
            )
            self._codes.add(version)
        return version, contents

    def _change_to(self, version: CodeVersion) -> Job[None]:
        before = self.active_code
        try:
            yield from scaled(self.put_code(version, self.nodes), 0, 90)
        except Exception as error:
            if before.id != version.id:
                yield Progress(90, f"going back to {before.id}, because: {error}")
                yield from scaled(self._go_back(before), 90, 100)
            raise
        self._codes.activate(version)
        self._keep_codes()

    def _go_back(self, before: CodeVersion) -> Job[None]:
        try:
            yield from self.put_code(before, self.nodes)
        except ConPaaSError as error:
            # The first failure is what the user must hear of; the next change tries again.
            self.log.error("going back to code version %s failed: %s", before.id, error)
        self._keep_codes()

    def _keep_codes(self) -> None:
        versions = self.codes_to_keep()
        for node, failed in self.ask_each(lambda agent: agent.keep_code(versions=versions)):
            if isinstance(failed, ConPaaSError):
                self.log.warning("%s keeps old code: %s", node.id, failed)

    @property
    def _limits(self) -> Limits:
        return Limits(unpacked=self.place.unpacked_limit, members=self.place.members_limit)

    @functools.cached_property
    def _initial_code(self) -> tuple[str, bytes]:
        return self.initial_code()

    @functools.cached_property
    def _codes(self) -> CodeBook:
        filename, _ = self._initial_code
        return CodeBook(self.store, filename)

    def _code_info(self, version: CodeVersion) -> CodeInfo:
        return CodeInfo(
            current="*" if version.id == self.active_code.id else "",
            codeVersionId=version.id,
            filename=version.filename,
            description=version.description,
            time=version.time,
        )


def _pieces(path: Path) -> Iterator[bytes]:
    # Opened when the first piece is asked for: some who ask for a file go before they read it.
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            yield piece
