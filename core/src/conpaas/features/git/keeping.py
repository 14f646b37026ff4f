"""Has the repository survive its machine: a copy of it, as one file, is at the director."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conpaas import files
from conpaas.errors import NotFoundError
from conpaas.features.git.host_key import STORE
from conpaas.features.git.repository import Repository
from conpaas.manager.place import ApplicationPlace
from conpaas.rpc import Upload

#: What is noted: ``blob`` of the copy, ``tips`` that it has, and the blobs of ``old`` ones, which
#: the state that the director had last may still name.
_KEPT = "kept"


class Keeper:
    """Keeps one repository.

    Args:
        place: The application's manager.
        repository: What is kept.
    """

    def __init__(self, place: ApplicationPlace, repository: Repository) -> None:
        self._place = place
        self._repository = repository
        self._store = place.shared(STORE)

    def keep(self) -> bool:
        """Send a copy unless the director has one of the present branches; say whether it did.

        Raises:
            TooLargeError: The copy would be larger than a file may be.
            ConPaaSError: It could not be sent.
        """
        kept = self._store.get(_KEPT, {})
        now = self._repository.tips()
        tips = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()
        if kept.get("tips") == tips:
            return False
        blob = self._send() if now else ""
        old = {*kept.get("old", []), kept.get("blob", "")} - {"", blob}
        self._store[_KEPT] = {"tips": tips, "blob": blob, "old": sorted(old)}
        return True

    def forget_old(self) -> None:
        """Have the director forget earlier copies, once it knows of the present one."""
        kept = self._store.get(_KEPT, {})
        for digest in kept.get("old", []):
            self._place.desk.delete_blob(digest=digest)
        if kept.get("old"):
            self._store[_KEPT] = {**kept, "old": []}

    @contextmanager
    def copy(self) -> Iterator[Path | None]:
        """Fetch the copy for a moment; None when nothing was ever kept.

        Raises:
            ConPaaSError: The director does not give it.
        """
        digest = self._store.get(_KEPT, {}).get("blob")
        if not digest:
            yield None
            return
        pieces = self._place.desk.get_blob(digest=digest).pieces
        with files.receive(pieces, self._place.directory, sys.maxsize) as received:
            if received.digest != digest:
                raise NotFoundError("the director's copy of the git repository is damaged")
            yield received.path

    def _send(self) -> str:
        with tempfile.TemporaryFile() as file:
            self._repository.bundle(file, self._place.limits.upload)
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._place.desk.put_blob(digest=digest, content=Upload(file, digest, size))
        return digest
