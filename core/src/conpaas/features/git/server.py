"""The repository of an application on its manager's machine: sshd, hooks, and their answers."""

from __future__ import annotations

import logging
import pwd
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conpaas.errors import AgentError, ConPaaSError
from conpaas.features.git.door import Door, Question
from conpaas.features.git.host_key import STORE, private_key
from conpaas.features.git.keeping import Keeper
from conpaas.features.git.key_ring import STORE as KEYS
from conpaas.features.git.key_ring import KeyRing
from conpaas.features.git.pushes import Pushes
from conpaas.features.git.repository import MEMORY, PROCESSOR, GitError, Repository
from conpaas.features.git.sshd import USER, Server
from conpaas.machine.places import Places
from conpaas.manager.place import ApplicationPlace
from conpaas.supervisor.base import BaseSupervisor

PROGRAM = "sshd"  #: its name among the machine's programs
RETRY = 5.0  #: seconds until what failed is tried again
_ACCOUNT_PATIENCE = 5.0  #: seconds that the director has to say which keys the owner has
logger = logging.getLogger(__name__)


class GitServer:
    """Serves the application's repository.

    Args:
        place: The application's manager.
        server: The sshd.
        supervisor: Keeps it running.
        user: Who owns the repository's objects; None means this process's own user.
    """

    def __init__(
        self,
        place: ApplicationPlace,
        server: Server,
        supervisor: BaseSupervisor,
        user: str | None = USER,
    ) -> None:
        self._place = place
        self._server = server
        self._supervisor = supervisor
        limit = min(place.limits.repository, place.limits.upload)
        self.repository = Repository(server.home, limit, user)
        self._wake = threading.Event()
        self.pushes = Pushes(place, self.repository, self._wake.set)
        self._director = ThreadPoolExecutor(4, "account-keys")
        self._door = Door(server.socket, self._questions(user))

    @classmethod
    def on(cls, machine: Places, place: ApplicationPlace) -> GitServer:
        """Return the server of a machine that the manager has for itself."""
        if missing := Server.missing():
            raise AgentError(f"this machine's image lacks {', '.join(missing)}: build it anew")
        home = machine.root / "home" / USER
        server = Server(machine.configuration / "git", home, machine.sockets / "git.sock")
        return cls(place, server, machine.supervisor)

    def start(self) -> None:
        """Begin, beside the manager's own beginning; what fails is tried again."""
        threading.Thread(target=self._run, name="git", daemon=True).start()

    def open(self) -> None:
        """Have the repository ready and its questions answered, which is all but sshd.

        Raises:
            ConPaaSError: The director does not give the repository that it keeps.
        """
        if self.repository.exists:
            self.repository.prepare(self._server.hooks())
        else:
            # Nobody gets in before the repository is back: a push to an empty one would do harm.
            with Keeper(self._place, self.repository).copy() as copy:
                self.repository.prepare(self._server.hooks(), copy)
        self._door.open()

    def prepare(self) -> None:
        """Have everything ready; every step is done again without harm.

        Raises:
            ConPaaSError: The director or the supervisor does not do its part.
        """
        self.open()
        key = private_key(self._place.shared(STORE))
        changed = self._server.configure(key, self.repository.settings, MEMORY, PROCESSOR)
        changed |= self._supervisor.define(PROGRAM, self._server.command())
        if changed and self._supervisor.is_running(PROGRAM):
            self._supervisor.restart(PROGRAM)
        else:
            self._supervisor.start(PROGRAM)

    def close(self) -> None:
        """Answer no more; what the supervisor runs goes on."""
        self._door.close()
        self._director.shutdown(wait=False)

    def _run(self) -> None:
        self._insist(self.prepare, "git is not served yet")
        while True:
            self._insist(self.pushes.catch_up, "pushes are not dealt with yet")
            self._wake.wait()
            time.sleep(RETRY)
            self._wake.clear()

    def _insist(self, do: Callable[[], None], what: str) -> None:
        while True:
            try:
                do()
            except (ConPaaSError, GitError, OSError) as error:
                logger.warning("%s: %s", what, error)
            except Exception:
                logger.exception("%s", what)
            else:
                return
            time.sleep(RETRY)

    # -- the keys -----------------------------------------------------------------------------

    def keys(self, offered: list[str]) -> Iterator[str]:
        """Return the lines of authorized_keys that matter for a key that somebody offers.

        Args:
            offered: Its type and itself, in base64.
        """
        wanted = " ".join(offered)
        own = KeyRing(self._place.shared(KEYS)).lines()
        if wanted in own:
            # The director need not be there.
            yield f"restrict {wanted}"
            return
        answer = self._director.submit(self._place.desk.list_keys)
        try:
            account = answer.result(_ACCOUNT_PATIENCE)
        except (ConPaaSError, TimeoutError) as error:
            answer.cancel()
            logger.warning("the keys of the owner's account are not known: %s", error)
            return
        if wanted in account:
            yield f"restrict {wanted}"

    def _questions(self, user: str | None) -> dict[str, Question]:
        pushing = frozenset({0, _number(user)} if user else {0, _own()})
        asking = frozenset({0, _number(self._server.key_user)} if user else {0, _own()})
        return {
            "keys": Question(self.keys, asking),
            "check": Question(self.pushes.check, pushing),
            "pushed": Question(self.pushes.accept, pushing),
        }


def _number(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise AgentError(f"this machine has no user {user!r}: build its image anew") from None


def _own() -> int:
    return Path("/proc/self").stat().st_uid
