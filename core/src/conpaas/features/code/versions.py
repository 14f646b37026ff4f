"""The versions of a service's code, as its manager notes them."""

from __future__ import annotations

import secrets
import string
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from conpaas.errors import InvalidError, NotFoundError
from conpaas.nearest import did_you_mean

INITIAL = "code-default"
#: How many versions that were active before are known.
_REMEMBERED = 5
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class CodeVersion:
    """One version of the code.

    ``tree`` is git's hash of the directory that it was pushed in, empty for an upload.
    ``digest`` names the blob that holds its archive, of ``size`` bytes; it is empty for the
    version that came with the service, until that is needed for the first time.  ``time`` is ISO
    8601 in UTC, empty for that version too.  Nodes ``strip`` the one directory that everything in
    the archive lies in.
    """

    id: str
    filename: str
    description: str
    time: str = ""
    digest: str = ""
    size: int = 0
    tree: str = ""
    strip: bool = False


class CodeBook:
    """The versions of one service, and which of them is active.

    Args:
        store: Where they are kept.
        filename: Of the archive of the version that came with the service.
    """

    def __init__(self, store: MutableMapping[str, Any], filename: str) -> None:
        self._store = store
        self._initial = CodeVersion(INITIAL, filename, "Initial version")

    def all(self) -> list[CodeVersion]:
        """Return the versions, newest first."""
        if "codes" not in self._store:
            return [self._initial]
        return [CodeVersion(**fields) for fields in self._store["codes"]]

    def find(self, version: str) -> CodeVersion:
        """Return a version.

        Raises:
            NotFoundError: There is none of that id.
        """
        found = {code.id: code for code in self.all()}
        if version not in found:
            near = did_you_mean(version, found)
            raise NotFoundError(f"there is no code version '{version[:60]}'{near}")
        return found[version]

    @property
    def active(self) -> CodeVersion:
        """The version that the nodes run, or will when the service starts."""
        return self.find(self._store.get("active_code", INITIAL))

    @property
    def active_before(self) -> list[str]:
        """The ids of the versions that were active before, the latest first; some of them."""
        there = {code.id for code in self.all()}
        found = self._store.get("codes_before", [])
        return [version for version in found if version in there and version != self.active.id]

    def activate(self, version: CodeVersion) -> None:
        """Make a version the active one."""
        before = [self.active.id, *self.active_before]
        self._store["codes_before"] = [one for one in before if one != version.id][:_REMEMBERED]
        self._store["active_code"] = version.id

    def new_id(self) -> str:
        """Return an id for an archive that no version has."""
        taken = {code.id for code in self.all()}
        while True:
            version = "code-" + "".join(secrets.choice(_LETTERS) for _ in range(6))
            if version not in taken:
                return version

    def id_of_push(self, commit: str, tree: str) -> str:
        """Return the id of a pushed version: git's short hash, longer where that is taken."""
        others = {code.id for code in self.all() if code.tree != tree}
        ids = (f"git-{commit[:length]}" for length in range(7, len(commit) + 1))
        return next(version for version in ids if version not in others)

    def add(self, version: CodeVersion) -> None:
        """Note a new version."""
        self._keep([version, *self.all()])

    def note_archive(self, version: CodeVersion, digest: str, size: int) -> CodeVersion:
        """Note where a version's archive is kept, and return the version with it."""
        noted = replace(version, digest=digest, size=size)
        self._keep([noted if code.id == version.id else code for code in self.all()])
        return noted

    def remove(self, version: CodeVersion) -> None:
        """Forget a version.

        Raises:
            InvalidError: It is the active one.
        """
        if version.id == self.active.id:
            raise InvalidError(f"Cannot remove the active code version '{version.id}'")
        self._keep([code for code in self.all() if code.id != version.id])

    def uses(self, digest: str) -> bool:
        """Whether some version's archive is in that blob."""
        return any(code.digest == digest for code in self.all())

    def _keep(self, versions: list[CodeVersion]) -> None:
        self._store["codes"] = [asdict(version) for version in versions]
