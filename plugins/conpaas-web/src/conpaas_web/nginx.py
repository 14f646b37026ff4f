"""An nginx of a service's own: supervised, checked before it is told, drained before it ends.

Knows nothing of ConPaaS but its supervisor.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from conpaas import files
from conpaas.errors import AgentError, UnreachableError
from conpaas.supervisor.base import BaseSupervisor

#: Whom servers run as, and whose the code is.
USER = "www-data"
#: Where each server tells about itself, to its own machine only.
STATUS_PATH = "/.conpaas-status"
CONFIGURATION_PATH = "/.conpaas-configuration"
#: Seconds within which a new configuration must be in force.
_RELOAD_TIMEOUT = 15.0
#: Its own definition says when it is killed; this is longer than any of those.
_LEAVE_TIMEOUT = 3600.0
_STATUS = re.compile(
    r"Active connections: (\d+).*Reading: (\d+) Writing: (\d+) Waiting: (\d+)", re.DOTALL
)


@dataclass(frozen=True)
class Connections:
    """What an nginx's connections are doing."""

    active: int
    reading: int
    writing: int
    waiting: int


@dataclass(frozen=True)
class Directories:
    """Where an nginx has its things, as its configuration names them."""

    temporary: Path
    logs: Path


class Nginx:
    """An nginx with a name.

    Args:
        name: Of the program, such as ``nginx-web``.
        root: ``/``, or what stands for it.
        supervisor: Keeps it running.
        address: Where it listens, and can be asked.
        port: Likewise.
    """

    def __init__(
        self, name: str, root: Path, supervisor: BaseSupervisor, address: str, port: int
    ) -> None:
        self.name = name
        self.address = address
        self.port = port
        self._supervisor = supervisor
        self._directory = root / "etc/conpaas-web" / name
        # In a directory that is there when a machine begins, before its agent does.
        self._pid = root / "run" / f"conpaas-{name}.pid"
        self.directories = Directories(
            root / "var/lib/conpaas-web" / name, root / "var/log/conpaas-web"
        )

    def configure(self, http: str, drain: int) -> bool:
        """Have it run with a configuration; one that is in force already is left alone.

        Args:
            http: What stands in its ``http`` block, with ``status_locations`` in a server.
            drain: Seconds that requests have to end when it stops or is told something new.

        Returns:
            Whether anything is new.

        Raises:
            AgentError: nginx refuses the configuration or cannot use it; the old one stays.
        """
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.directories.temporary / name).mkdir(parents=True, exist_ok=True)
        for directory in (self._directory, self._pid.parent, self.directories.logs):
            directory.mkdir(parents=True, exist_ok=True)
        text = self._text(http, drain)
        path = self._directory / "nginx.conf"
        if self._holds(path, text):
            changed = False
        else:
            new = self._directory / "nginx.conf.new"
            files.write(new, text)
            self._check(new)
            new.replace(path)
            changed = True
        changed |= self._supervisor.define(
            self.name, self._command(path), stop_signal="QUIT", kill_after=drain + 10, whole=True
        )
        master = self._supervisor.pid(self.name)
        workers: list[psutil.Process] = []
        if master is None:
            changed = True
            self._supervisor.start(self.name)
        elif self._configuration() != _digest(text):
            workers = _workers(master)
            self._supervisor.reload(self.name)
        self._await(_digest(text), workers)
        return changed

    def leave(self) -> None:
        """Answer what has begun, then stop for good; one that does not run is fine."""
        if self.is_defined:
            self._supervisor.stop(self.name, wait=_LEAVE_TIMEOUT)
            self._supervisor.remove(self.name)

    def reopen_logs(self) -> None:
        """Have it write to the files that have the logs' names now."""
        if self.is_defined:
            self._supervisor.signal(self.name, "USR1")

    @property
    def is_defined(self) -> bool:
        """Whether it is to run."""
        return self.name in self._supervisor.names()

    @property
    def error_log(self) -> Path:
        """Where it complains."""
        return self._supervisor.log_file(self.name)

    @property
    def status_locations(self) -> str:
        """The locations by which it tells about itself, for one of its servers."""
        return _STATUS_LOCATIONS.format(
            status=STATUS_PATH,
            configuration=CONFIGURATION_PATH,
            addresses="".join(f"allow {a}; " for a in sorted({"127.0.0.1", self._asked})),
        )

    def connections(self) -> Connections:
        """Return what its connections are doing.

        Raises:
            UnreachableError: It does not answer.
        """
        found = _STATUS.search(self._get(STATUS_PATH))
        if found is None:
            raise UnreachableError(f"{self.name} does not tell its status")
        return Connections(*(int(number) for number in found.groups()))

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _asked(self) -> str:
        return "127.0.0.1" if self.address in ("0.0.0.0", "::") else self.address  # noqa: S104

    def _text(self, http: str, drain: int) -> str:
        directory = self.directories.temporary
        text = _CONFIGURATION.format(
            user=f"user {USER};" if os.geteuid() == 0 else "",
            workers=max(1, min(4, os.cpu_count() or 1)),
            drain=drain,
            pid=self._pid,
            directory=directory,
            http=http,
        )
        # It says which configuration it has: so a reload is seen to be done.
        return text.replace(_DIGEST_PLACE, _digest(text))

    def _holds(self, path: Path, text: str) -> bool:
        try:
            return path.read_text() == text
        except OSError:
            return False

    def _command(self, path: Path) -> list[str]:
        return ["nginx", "-e", "stderr", "-p", str(self._directory), "-c", str(path)]

    def _check(self, path: Path) -> None:
        command = [*self._command(path), "-t", "-q"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise AgentError("nginx is not installed: install Debian's nginx-light") from error
        if answer.returncode != 0:
            raise AgentError(f"{self.name} refuses its configuration: {answer.stderr.strip()}")

    def _configuration(self) -> str:
        try:
            return self._get(CONFIGURATION_PATH)
        except UnreachableError:
            return ""

    def _await(self, digest: str, workers: Sequence[psutil.Process]) -> None:
        """Wait until a configuration is in force, and workers of the one before take nothing."""
        deadline = time.monotonic() + _RELOAD_TIMEOUT
        pause = 0.005
        while self._configuration() != digest or any(_accepts(worker) for worker in workers):
            if time.monotonic() > deadline:
                raise AgentError(
                    f"{self.name} does not run with what it was told; its last words:\n"
                    f"{self._supervisor.tail(self.name, 5)}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection(self._asked, self.port, timeout=1.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read(10_000).decode("latin-1")
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{self.name} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise UnreachableError(f"{self.name} answers {answer.status} about itself")
        return text


def _workers(master: int) -> list[psutil.Process]:
    try:
        return psutil.Process(master).children()
    except psutil.NoSuchProcess:
        return []


def _accepts(worker: psutil.Process) -> bool:
    """Whether a worker takes new connections: it shows in its title when it no longer does."""
    try:
        return worker.is_running() and not any("shutting" in part for part in worker.cmdline())
    except psutil.NoSuchProcess:
        return False


def _digest(text: str) -> str:
    """Return what stands for a configuration, whether its own digest is in it yet or not."""
    plain = re.sub(r'return 200 "[0-9a-f]{32}";', f'return 200 "{_DIGEST_PLACE}";', text)
    return hashlib.sha256(plain.encode()).hexdigest()[:32]


_DIGEST_PLACE = "DIGEST"
_STATUS_LOCATIONS = """\
        location = {status} {{
            stub_status; access_log off; {addresses}deny all;
        }}
        location = {configuration} {{
            access_log off; default_type text/plain; {addresses}deny all;
            try_files /dev/null @configuration;
        }}
        location @configuration {{
            access_log off; default_type text/plain; return 200 "DIGEST";
        }}
"""
_CONFIGURATION = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 16384;
worker_shutdown_timeout {drain}s;
pid {pid};
error_log stderr warn;

events {{
    worker_connections 4096;
}}

http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    server_tokens off;
    absolute_redirect off;
    sendfile on;
    tcp_nopush on;
    reset_timedout_connection on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""
