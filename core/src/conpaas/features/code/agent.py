"""The agent's part of code versions: receives them, unpacks them, keeps those that are needed."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import msgspec

from conpaas.agent.base import AgentPlace, ServiceAgent
from conpaas.errors import AgentError, InvalidError
from conpaas.features.code.archives import BadArchiveError, Limits, unpack
from conpaas.rpc import Upload, expose

#: As an agent takes it: it becomes the name of a directory.
VersionId = Annotated[
    str,
    "Id of a code version",
    msgspec.Meta(pattern=r"^[a-z]+-[A-Za-z0-9]+$", max_length=64),
]
#: Begins the names of what is not, or no longer, a version; a crash may leave some.
_PASSING = ".passing-"


class CodeAgent(ServiceAgent):
    """Keeps unpacked versions of the user's code, each in a directory of its own.

    A version is there as a whole or not at all, whatever happens and whenever.

    May override:
        ``code_directory``: where the directories of the versions lie.

    Given to you:
        ``code_path(version)``: where a version is, or will be.
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._code_lock = threading.Lock()

    @property
    def code_directory(self) -> Path:
        """Where the directories of the versions lie."""
        return self.root / "var/cache/cpsagent/code"

    def code_path(self, version: str) -> Path:
        """Return where a version is, or will be."""
        return self.code_directory / version

    @expose(reads=True)
    def list_code(self) -> list[str]:
        """List the ids of the versions that are here."""
        if not self.code_directory.is_dir():
            return []
        found = self.code_directory.iterdir()
        return sorted(path.name for path in found if path.is_dir() and path.name[0] != ".")

    @expose()
    def update_code(
        self,
        version: VersionId,
        archive: Annotated[Upload, "Its archive"],
        unpacked_limit: Annotated[int, "Bytes that the archive may hold"],
        members_limit: Annotated[int, "Files that the archive may hold"],
        strip: Annotated[bool, "Leave out the directory that everything lies in"] = False,
    ) -> bool:
        """Unpack a version beside the others, and return whether it is new here."""
        with self._code_lock:
            if self.code_path(version).is_dir():
                return False
            try:
                self.code_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
                self._clean_up()
                with tempfile.NamedTemporaryFile(dir=self.code_directory, prefix=_PASSING) as file:
                    shutil.copyfileobj(archive.stream, file, 1 << 16)
                    file.flush()
                    limits = Limits(unpacked=unpacked_limit, members=members_limit)
                    unpack(Path(file.name), self.code_path(version), limits, strip=strip)
            except BadArchiveError as error:
                raise InvalidError(f"the code version {version}: {error}") from error
            except OSError as error:
                raise AgentError(
                    f"the code version {version} cannot be unpacked: {error.strerror or error}"
                ) from error
        self.log.info("code version %s is here", version)
        return True

    @expose()
    def keep_code(self, versions: Annotated[list[VersionId], "Those that are needed"]) -> None:
        """Remove all other versions."""
        with self._code_lock:
            for name in set(self.list_code()) - set(versions):
                # What is being removed must not be taken for a version if a crash cuts it off.
                self.code_path(name).rename(self.code_directory / f"{_PASSING}{name}")
                self.log.info("code version %s is removed", name)
            self._clean_up()

    def _clean_up(self) -> None:
        for left in self.code_directory.glob(f"{_PASSING}*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
