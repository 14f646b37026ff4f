"""A redis for sessions: with a password, without dangerous commands, and with a bound for memory.

Knows nothing of ConPaaS but its supervisor.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import time
from pathlib import Path

from conpaas import files
from conpaas.errors import AgentError
from conpaas.supervisor.base import BaseSupervisor
from conpaas_web.parts import SessionStore

#: Whom it runs as.
USER = "redis"
#: Bytes of sessions; then those that were not used for longest go.
MEMORY = 128 << 20
_START_TIMEOUT = 30.0
_ANY = "0.0.0.0"  # noqa: S104  (nobody gets in without the password)


class Redis:
    """The store of the sessions of one service.

    Args:
        supervisor: Keeps it running, under the name ``sessions``.
        directory: Gets its configuration and its data.
        store: Where it listens, and its password.
        memory: Bytes that sessions may take.
    """

    name = "sessions"

    def __init__(
        self,
        supervisor: BaseSupervisor,
        directory: Path,
        store: SessionStore,
        memory: int = MEMORY,
    ) -> None:
        self._supervisor = supervisor
        self._directory = directory
        self._store = store
        self._memory = memory

    def start(self) -> bool:
        """Have it run as it should; what it keeps stays.  Return whether anything is new.

        Raises:
            AgentError: It does not run; tells its last words.
        """
        data = self._directory / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only its own user needs to get in, and sees what it needs.
        self._directory.chmod(0o711)
        users, configuration = self._directory / "users.acl", self._directory / "redis.conf"
        changed = files.write(users, self._users(), 0o600)
        changed |= files.write(configuration, self._text(data, users), 0o600)
        as_root = os.geteuid() == 0
        if as_root:
            for path in (data, users, configuration):
                shutil.chown(path, USER, USER)
        changed |= self._supervisor.define(
            self.name,
            ["redis-server", str(configuration)],
            user=USER if as_root else None,
            whole=True,
        )
        if not self.is_running():
            self._supervisor.start(self.name)
            changed = True
        elif changed:
            self._supervisor.restart(self.name)
        self._await()
        return changed

    def is_running(self) -> bool:
        """Whether it runs."""
        return self.name in self._supervisor.names() and self._supervisor.is_running(self.name)

    def leave(self) -> None:
        """Stop for good; what it keeps stays.  One that does not run is fine."""
        self._supervisor.remove(self.name)

    def ping(self) -> bool:
        """Whether it answers."""
        try:
            return self._say(f"AUTH {self._store.password}", "PING") == "+PONG"
        except OSError:
            return False

    # -- how it is done -----------------------------------------------------------------------

    def _users(self) -> str:
        digest = hashlib.sha256(self._store.password.encode()).hexdigest()
        # Sessions need little; their locks are released by a script.
        return f"user default on #{digest} ~* &* +@all -@dangerous -@admin +info\n"

    def _text(self, data: Path, users: Path) -> str:
        return _CONFIGURATION.format(
            address=self._address,
            port=self._store.port,
            data=data,
            users=users,
            memory=self._memory,
        )

    @property
    def _address(self) -> str:
        """Where it listens: on some clouds no interface has the address that others use."""
        try:
            socket.create_server((self._store.address, 0)).close()
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return _ANY
            raise
        return self._store.address

    def _await(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        pause = 0.01
        while not self.ping():
            if time.monotonic() > deadline:
                raise AgentError(
                    "the store of the sessions does not run; its last words:\n"
                    f"{self._supervisor.tail(self.name, 5)}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.3)

    def _say(self, *commands: str) -> str:
        """Send commands, and return the last answer's first line."""
        here = "127.0.0.1" if self._address == _ANY else self._address
        with socket.create_connection((here, self._store.port), 1.0) as connection:
            answer = ""
            with connection.makefile("rb") as reading:
                for command in commands:
                    words = [word.encode() for word in command.split(" ", 1)]
                    packed = [b"*%d\r\n" % len(words)]
                    packed += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
                    connection.sendall(b"".join(packed))
                    answer = reading.readline().decode(errors="replace").strip()
        return answer


_CONFIGURATION = """\
bind {address}
port {port}
protected-mode no
daemonize no
dir "{data}"
aclfile "{users}"
maxmemory {memory}
maxmemory-policy volatile-lru
save ""
appendonly yes
appendfsync everysec
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 16mb
aof-load-truncated yes
tcp-keepalive 60
timeout 0
databases 1
maxclients 4000
loglevel notice
logfile ""
"""
