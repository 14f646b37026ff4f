"""A haproxy before databases: supervised, checked before it is told, changed while it runs.

It is never started again for a change: each one is written to its configuration, and then made
in the running process, so that no connection but those of a database that goes is ever cut.
Knows nothing of ConPaaS but its supervisor.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from conpaas import files
from conpaas.errors import AgentError, InvalidError, UnreachableError
from conpaas.supervisor.base import BaseSupervisor
from conpaas_mysql.haproxy_runtime import Runtime, ServerKey, ServerState
from conpaas_mysql.parts import HEALTH_PORT, MYSQL_PORT, BalancerPart, Member

#: Whom it runs as.
USER = "haproxy"
#: Each needs two open files.  Where a machine lets it have fewer, haproxy's log tells.
MOST_CONNECTIONS = 5000
FRONTEND = "databases"
SPREAD = "spread"  #: the backend in which the one with the fewest connections gets the next
SINGLE = "single"  #: the backend in which the first one that is healthy gets all
BACKENDS = (SPREAD, SINGLE)
#: Seconds in which connections may end when it is stopped.
LEAVE_WITHIN = 5
_START_WITHIN = 15.0
_PAUSE = 0.02
# What can change while it runs and is no server stands in a map.  ("set maxconn frontend" ends 2.6
# by its own watchdog when somebody waits just then.)
_BACKEND = "backend"
_CONNECTIONS = "connections"
_BUILT = "BALANCER_CONFIGURATION"  #: the variable by which it tells what it was started with
_NAME = re.compile(r"[a-z][a-z0-9-]*?([1-9][0-9]{0,8})")


class Haproxy:
    """The balancer of one machine.

    Args:
        root: ``/``, or what stands for it.
        supervisor: Keeps it running, under the name ``balancer``.
        address: Where it listens.
        port: Likewise.
    """

    name = "balancer"

    def __init__(
        self, root: Path, supervisor: BaseSupervisor, address: str, port: int = MYSQL_PORT
    ) -> None:
        self._supervisor = supervisor
        self._address = address
        self._port = port
        # All of it is there when a machine begins, before its agent does.
        self._directory = root / "var/lib/conpaas-glb"
        self._configuration = self._directory / "haproxy.cfg"
        self._map = self._directory / "settings.map"
        self._socket = self._directory / "run/socket"
        self._runtime = Runtime(self._socket)

    def configure(self, part: BalancerPart, drained: Collection[str] = ()) -> bool:
        """Have it run as it should, and return whether anything is new.

        Args:
            part: What it does; connections of databases that are not in it any more are cut.
            drained: Names of databases that get no new connections.

        Raises:
            InvalidError: The part cannot be carried out.
            AgentError: haproxy refuses it, or does not run; what it did before stays.
        """
        check(part)
        changed = self._write(part, drained)
        static = self._text(part, drained, for_digest=True)
        built = hashlib.sha256(static.encode()).hexdigest()[:32]
        changed |= self._supervisor.define(
            self.name,
            ["haproxy", "-db", "-f", str(self._configuration)],
            environment={_BUILT: built},
            user=USER if os.geteuid() == 0 else None,
            # It takes no new connections then, and ends with the last one.
            stop_signal="USR1",
            kill_after=LEAVE_WITHIN + 5,
        )
        if not self.is_running():
            self._supervisor.start(self.name)
            changed = True
        elif self._built() not in (built, None):
            # ConPaaS itself has changed how it configures haproxy: that needs a new beginning.
            self._supervisor.restart(self.name)
        return self._make_true(part, drained, built) or changed

    def states(self) -> dict[str, ServerState]:
        """Return how it sees each database.

        Raises:
            UnreachableError: It does not answer.
        """
        active = self._runtime.settings(self._map).get(_BACKEND)
        found: dict[str, ServerState] = {}
        servers = self._runtime.servers()
        for key, state in servers.items():
            if key.backend == active:
                # After a change of how it balances, the other backend keeps what it has.
                all_of_it = [servers.get(ServerKey(name, key.server)) for name in BACKENDS]
                found[key.server] = replace(
                    state,
                    connections=sum(one.connections for one in all_of_it if one),
                    total=sum(one.total for one in all_of_it if one),
                )
        return found

    def connections(self, name: str) -> int:
        """Return how many connections a database has, 0 for one that it does not know."""
        state = self.states().get(name)
        return 0 if state is None else state.connections

    def clients(self) -> int:
        """Return how many connections there are, those that wait for a database included."""
        return self._runtime.connections(FRONTEND)

    def cut(self, name: str) -> None:
        """Cut the connections of a database."""
        for backend in BACKENDS:
            self._runtime.cut(ServerKey(backend, name))

    def is_running(self) -> bool:
        """Whether it runs."""
        return self.name in self._supervisor.names() and self._supervisor.is_running(self.name)

    def leave(self) -> None:
        """Stop for good, when connections had a little time to end; repeated, it is the same."""
        if self.name in self._supervisor.names():
            self._supervisor.remove(self.name)
        if self._directory.exists():
            shutil.rmtree(self._directory)

    @property
    def log(self) -> Path:
        """Where it tells which databases come and go."""
        return self._supervisor.log_file(self.name)

    # -- how it is done -----------------------------------------------------------------------

    def _write(self, part: BalancerPart, drained: Collection[str]) -> bool:
        run = self._socket.parent
        run.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o755)
        run.chmod(0o700)
        if os.geteuid() == 0:
            shutil.chown(run, USER, USER)
        text = self._text(part, drained)
        settings = _settings(part)
        changed = files.write(self._map, "".join(f"{k} {settings[k]}\n" for k in settings))
        if not self._holds(text):
            new = self._configuration.with_suffix(".new")
            files.write(new, text)
            self._check(new)
            new.replace(self._configuration)
            changed = True
        return changed

    def _holds(self, text: str) -> bool:
        try:
            return self._configuration.read_text() == text
        except OSError:
            return False

    def _check(self, path: Path) -> None:
        command = ["haproxy", "-c", "-f", str(path)]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise AgentError("haproxy is not installed: install Debian's haproxy") from error
        if answer.returncode != 0:
            raise AgentError(f"haproxy refuses its configuration: {answer.stderr.strip()}")

    def _text(self, part: BalancerPart, drained: Collection[str], for_digest: bool = False) -> str:
        """Return the configuration; for its digest without what can change while it runs."""
        servers = () if for_digest else part.servers
        lines = {
            backend: "".join(
                f"    server {server.name} {_server(backend, server)}"
                f"{' disabled' if server.name in drained else ''}\n"
                for server in servers
            )
            for backend in BACKENDS
        }
        return _CONFIGURATION.format(
            most=MOST_CONNECTIONS,
            socket=self._socket,
            leave=LEAVE_WITHIN,
            address=self._address,
            port=self._port,
            backend=_BACKEND,
            connections=_CONNECTIONS,
            map=self._map,
            **lines,
        )

    def _built(self) -> str | None:
        """Return what the running process was started with; None when it does not tell."""
        try:
            return self._runtime.environment(_BUILT)
        except UnreachableError:
            return None

    def _make_true(self, part: BalancerPart, drained: Collection[str], built: str) -> bool:
        """Have the running process do what is written; one that dies meanwhile begins with it."""
        deadline = time.monotonic() + _START_WITHIN
        while True:
            try:
                if self._built() == built:
                    return self._change(part, drained)
            except UnreachableError:
                pass  # it is about to be started again
            if time.monotonic() > deadline:
                raise AgentError(
                    "the balancer does not run with what it was told; its last words:\n"
                    f"{self._supervisor.tail(self.name, 5)}"
                )
            time.sleep(_PAUSE)

    def _change(self, part: BalancerPart, drained: Collection[str]) -> bool:
        """Bring the running process to where it should be; return whether anything changed."""
        wanted = {
            ServerKey(backend, server.name): server
            for backend in BACKENDS
            for server in part.servers
        }
        there = self._runtime.servers()
        gone = [
            key
            for key, state in there.items()
            if key not in wanted or wanted[key].address != state.address
        ]
        new = {
            key: _server(key.backend, server)
            for key, server in wanted.items()
            if key not in there or key in gone
        }
        # Those that come first: at no time shall there be none.
        self._runtime.remove([key for key in gone if key in wanted])
        if new:
            self._runtime.add(new)
        changed = bool(new or gone)
        for key in wanted:
            is_drained = key in new or there[key].is_drained
            if is_drained and key.server not in drained:
                self._runtime.admit(key)
                changed = True
            elif not is_drained and key.server in drained:
                self._runtime.drain(key)
                changed = True
        self._runtime.remove([key for key in gone if key not in wanted])
        there_set = self._runtime.settings(self._map)
        for name, value in _settings(part).items():
            if there_set.get(name) != value:
                self._runtime.set(self._map, name, value)
                changed = True
        if changed:
            self._require(wanted, drained)
        return changed

    def _require(self, wanted: Mapping[ServerKey, Member], drained: Collection[str]) -> None:
        """Make sure that what runs is what was wanted.

        Raises:
            AgentError: It is not.
        """
        found = {
            key: (state.address, state.is_drained)
            for key, state in self._runtime.servers().items()
        }
        told = {key: (server.address, server.name in drained) for key, server in wanted.items()}
        if found != told:
            raise AgentError(f"the balancer does {found} where it was told {told}")


def check(part: BalancerPart) -> None:
    """Raise :class:`InvalidError` when haproxy cannot be told so."""
    numbers = set()
    for server in part.servers:
        found = _NAME.fullmatch(server.name)
        if found is None:
            raise InvalidError(f"{server.name!r} cannot name a database: say mysql-1, mysql-2, …")
        numbers.add(found[1])
        try:
            ipaddress.ip_address(server.address)
        except ValueError as error:
            raise InvalidError(f"{server.address!r} is no address of {server.name}") from error
    if len(numbers) < len(part.servers):
        raise InvalidError("two databases have the same number")
    if not 1 <= part.connections <= MOST_CONNECTIONS:
        raise InvalidError(
            f"a balancer takes from 1 to {MOST_CONNECTIONS} connections, not {part.connections}"
        )


def _settings(part: BalancerPart) -> dict[str, str]:
    """Return what stands in the map."""
    return {
        _BACKEND: SINGLE if part.single_writer else SPREAD,
        _CONNECTIONS: str(part.connections),
    }


def _server(backend: str, server: Member) -> str:
    """Return what a server is; one that is added while haproxy runs has no defaults."""
    found = _NAME.fullmatch(server.name)
    # "first" goes by these numbers, so that all balancers agree whose turn it is.
    number = f" id {found[1]}" if backend == SINGLE and found else ""
    address = f"[{server.address}]" if ":" in server.address else server.address
    return f"{address}:{MYSQL_PORT}{number}{_CHECK}"


# A database that stops says so by its answers; one whose machine is gone does not answer at all.
# One that stands still for a copy answers 404: it keeps its connections and gets no new ones.
_CHECK = (
    f" check port {HEALTH_PORT} inter 1s fastinter 200ms downinter 1s rise 2 fall 4"
    " on-marked-down shutdown-sessions"
)
# A database that comes is checked at once, not after an interval: whoever adds it waits for that.
# Who is being connected to a machine that is gone tries another one after "timeout connect".  When
# that machine is marked down meanwhile, he is cut like those who were on it: so this is short, and
# tries are many.  It is the time for a connection of each check, too: of these it takes four.  It
# is still enough for databases on another continent.
# Connections may be idle for as long as any database lets them (wait_timeout).  Who vanished
# without a word is noted by the keep-alive of TCP.
_CONFIGURATION = """\
global
    no strict-limits
    maxconn {most}
    stats socket {socket} mode 600 level admin
    max-spread-checks 50
    hard-stop-after {leave}s

defaults
    mode tcp
    timeout connect 500ms
    timeout client 24d
    timeout server 24d
    timeout check 3s
    retries 12
    option redispatch 1
    option clitcpka
    option srvtcpka
    clitcpka-idle 60s
    clitcpka-intvl 10s
    clitcpka-cnt 6
    srvtcpka-idle 60s
    srvtcpka-intvl 10s
    srvtcpka-cnt 6

frontend databases
    bind {address}:{port}
    tcp-request connection set-var(sess.most) str({connections}),map_str({map},{most}),add(0)
    tcp-request connection reject if {{ fe_conn,sub(sess.most) gt 0 }}
    use_backend %[str({backend}),map_str({map},spread)]

backend spread
    balance leastconn
    option httpchk GET /
    http-check disable-on-404
{spread}
backend single
    balance first
    option httpchk GET /
    http-check disable-on-404
{single}"""
