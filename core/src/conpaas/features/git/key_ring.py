"""The keys that may push to an application's repository, in the manager's records."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from conpaas.errors import InvalidError, NotFoundError
from conpaas.ssh_keys import PublicKey

#: The name of the ring's part of the manager's records.
STORE = "git keys"
MAX_KEYS = 500  #: of an application


@dataclass(frozen=True)
class TrustedKey:
    """A row of ``list_keys``; ``fingerprint`` as ``ssh-keygen -l`` prints it."""

    id: int
    type: str
    fingerprint: str
    comment: str
    added: str


class KeyRing:
    """The keys of one application.

    Args:
        store: Where they are kept, by fingerprint; all services of the application share it.
    """

    #: Services are asked at the same time, and a ring is made for each question.
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, store: MutableMapping[str, Any]) -> None:
        self._store = store

    def add(self, keys: Sequence[PublicKey]) -> int:
        """Keep keys, and return how many of them are new.

        Raises:
            InvalidError: They would be too many; none is kept.
        """
        with self._lock:
            new = {key.fingerprint: key for key in keys if key.fingerprint not in self._store}
            if len(self._store) + len(new) > MAX_KEYS:
                raise InvalidError(
                    f"an application has at most {MAX_KEYS} keys, and this one has "
                    f"{len(self._store)}: remove those that are not needed"
                )
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            number = max((row["id"] for row in self._store.values()), default=0)
            for place, (fingerprint, key) in enumerate(new.items(), 1):
                row = TrustedKey(number + place, key.type, fingerprint, key.comment, now)
                self._store[fingerprint] = {**asdict(row), "line": key.line}
            return len(new)

    def all(self) -> list[TrustedKey]:
        """Return the keys, oldest first."""
        rows = [{k: v for k, v in row.items() if k != "line"} for row in self._store.values()]
        return sorted((TrustedKey(**row) for row in rows), key=lambda key: key.id)

    def remove(self, number: int) -> TrustedKey:
        """Forget a key, and return what it was.

        Raises:
            NotFoundError: There is none of that id.
        """
        with self._lock:
            for key in self.all():
                if key.id == number:
                    del self._store[key.fingerprint]
                    return key
        raise NotFoundError(f"the application has no key {number} (list_keys shows them)")

    def lines(self) -> list[str]:
        """Return the keys as lines of authorized_keys, without options."""
        return [str(row["line"]) for row in self._store.values()]
