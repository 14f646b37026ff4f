"""Where the sessions of a web service are: one redis on the machine of the application's manager.

It is there, and not on a node, because it outlives every node, the first proxy included.
"""

from __future__ import annotations

import secrets

from conpaas.manager.place import ManagerPlace
from conpaas_web.parts import SessionStore
from conpaas_web.redis import Redis

FIRST_PORT = 6400  #: of the service with the number 0, which no service has
_PASSWORD = "sessions_password"  # noqa: S105 - the key that it is kept under


class Sessions:
    """The store of the sessions of one service.

    Args:
        place: Where the service's manager lives.
    """

    def __init__(self, place: ManagerPlace) -> None:
        self._place = place

    @property
    def address(self) -> str:
        """The address and the port that backends reach it at."""
        return f"{self.store.address}:{self.store.port}"

    @property
    def store(self) -> SessionStore:
        """What backends are told of it."""
        if _PASSWORD not in self._place.store:
            self._place.store[_PASSWORD] = secrets.token_hex(24)
        return SessionStore(
            address=self._place.address,
            port=FIRST_PORT + self._place.number,
            password=str(self._place.store[_PASSWORD]),
        )

    def start(self) -> None:
        """Have it run; one that does is left alone.

        Raises:
            AgentError: It does not start; tells its last words.
        """
        self._redis().start()

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._redis().is_running()

    def _redis(self) -> Redis:
        return Redis(self._place.supervisor, self._place.directory / "sessions", self.store)
