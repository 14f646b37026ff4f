"""PHP-FPM: runs the code, for its proxies only.

Knows nothing of ConPaaS but its supervisor.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from conpaas import files
from conpaas.confinement import Confinement, not_installed, refusal
from conpaas.errors import AgentError, UnreachableError
from conpaas.supervisor.base import BaseSupervisor
from conpaas_php import fastcgi
from conpaas_php.generations import CONFIGURATION, PROGRAM, STATE
from conpaas_php.ini import quoted
from conpaas_web.nginx import USER
from conpaas_web.parts import SessionStore

NAME = "php-fpm"
STATUS_PATH = "/fpm-status"
#: Seconds within which a new configuration must be in force.
_RELOAD_TIMEOUT = 30.0
#: Seconds beyond the limit of a request after which workers are ended by force.
_GRACE = 5
#: Its own definition says when it is killed; this is longer than any of those.
_LEAVE_TIMEOUT = 3600.0
#: What its main process needs: it makes itself workers of another user, ends those that take too
#: long, and looks at what slow ones do.
_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SYS_PTRACE")


@dataclass(frozen=True)
class Pool:
    """How PHP-FPM runs.

    Args:
        allowed: Addresses of those that are answered.
        settings: Of PHP, by name, as php.ini writes their values.
        environment: What the code sees, by name.
        sessions: Where they are kept.
        timeout: Seconds after which a request is ended.
        workers: How many requests run at once, at most.
    """

    allowed: tuple[str, ...]
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    sessions: SessionStore
    timeout: int
    workers: int


@dataclass(frozen=True)
class Status:
    """What PHP-FPM tells about itself."""

    active: int
    idle: int
    queue: int
    accepted: int


class PhpFpm:
    """The one PHP-FPM of a machine.

    Args:
        root: ``/``, or what stands for it.
        supervisor: Keeps it running.
        address: Where it listens.
        port: Likewise.

    ``confinement`` is what the code sees of the machine.
    """

    def __init__(self, root: Path, supervisor: BaseSupervisor, address: str, port: int) -> None:
        self._supervisor = supervisor
        self._address = address
        self._port = port
        self._root = root
        self._configuration = root / "etc/conpaas-php"
        self._run = root / "run/conpaas-php"
        # Beside the code: what was uploaded is moved there at once.
        self._temporary = root / "srv/tmp"
        self._logs = root / "var/log/conpaas-php"
        self.confinement = Confinement((root / "srv", self._logs), self._temporary, _CAPABILITIES)
        self._pool_file = self._configuration / "pool.json"

    @property
    def error_log(self) -> Path:
        """What PHP-FPM itself says, and what programs that the code starts print."""
        return self._supervisor.log_file(NAME)

    @property
    def php_log(self) -> Path:
        """Errors of the code."""
        return self._logs / "php-errors.log"

    @property
    def slow_log(self) -> Path:
        """What requests that take long are doing."""
        return self._logs / "php-slow.log"

    @property
    def address(self) -> str:
        """Where this machine itself reaches it."""
        return f"{self._own_host}:{self._port}"

    @property
    def _status_address(self) -> str:
        """Where it tells about itself, even when all workers are busy; to this machine only."""
        return f"{self._own_host}:{self._port + 1}"

    @property
    def _own_host(self) -> str:
        return "127.0.0.1" if self._address == "0.0.0.0" else self._address  # noqa: S104

    @property
    def is_defined(self) -> bool:
        """Whether it is to run."""
        return NAME in self._supervisor.names()

    def configure(self, pool: Pool) -> bool:
        """Have it run so; return whether anything is new.

        Requests that run go on as they are; nobody waits for them.

        Raises:
            AgentError: PHP-FPM refuses the configuration or cannot use it; the old one stays.
        """
        for directory in (self._configuration, self._run, self._logs):
            directory.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._make_for_the_code()
        text, environment = self._text(pool), _environment(pool.environment)
        told = {
            "configuration": text,
            "environment": environment,
            "confinement": self.confinement.command(),
        }
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        content = json.dumps(told | {"digest": digest})
        changed = not (self._pool_file.exists() and self._pool_file.read_text() == content)
        if changed:
            self._check(text, environment)
            files.write(self._pool_file, content, 0o600)
        command = [
            *(sys.executable, "-P", "-m", "conpaas_php.generations"),
            *(str(self._run), str(self._pool_file)),
            *(f"{self._address}:{self._port}", self._status_address),
        ]
        changed |= self._supervisor.define(
            NAME, command, stop_signal="QUIT", kill_after=pool.timeout + 2 * _GRACE, whole=True
        )
        if not self._supervisor.is_running(NAME):
            changed = True
            (self._run / STATE).unlink(missing_ok=True)
            self._supervisor.start(NAME)
        elif self._state().get("digest") != digest:
            self._supervisor.reload(NAME)
        self._await(digest)
        return changed

    def leave(self) -> None:
        """Answer what has begun, then stop for good; one that does not run is fine."""
        if self.is_defined:
            self._supervisor.stop(NAME, wait=_LEAVE_TIMEOUT)
            self._supervisor.remove(NAME)
        (self._run / STATE).unlink(missing_ok=True)

    def reopen_logs(self) -> None:
        """Have it write to the files that have the logs' names now."""
        if self.is_defined:
            self._supervisor.signal(NAME, "USR1")
        self._make_for_the_code()

    def status(self) -> Status:
        """Return what its workers are doing.

        Raises:
            UnreachableError: It does not answer.
        """
        variables = {
            "SCRIPT_NAME": STATUS_PATH,
            "SCRIPT_FILENAME": STATUS_PATH,
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": "json",
        }
        text = self.request(variables, self._status_address, seconds=1.0).decode()
        try:
            told = json.loads(text.partition("\r\n\r\n")[2])
            return Status(
                told["active processes"],
                told["idle processes"],
                told["listen queue"],
                told["accepted conn"],
            )
        except (ValueError, KeyError) as error:
            raise UnreachableError("PHP-FPM does not tell its status") from error

    def request(
        self,
        variables: Mapping[str, str],
        address: str | None = None,
        *,
        seconds: float,
        limit: int = 64 << 10,
    ) -> bytes:
        """Send a request without a body straight to it.

        Args:
            variables: Of FastCGI.
            address: Where to; default: where proxies ask.
            seconds: For all of it; what has come by then is returned.
            limit: Bytes of the answer that are returned, at most.

        Returns:
            The answer: headers and body.

        Raises:
            UnreachableError: There is none.
        """
        return fastcgi.request(address or self.address, variables, seconds, limit)

    # -- how it is done -----------------------------------------------------------------------

    def _make_for_the_code(self) -> None:
        """Give the code what it writes to, if this process may give things away."""
        self.php_log.touch(0o640)
        if os.geteuid() == 0:
            shutil.chown(self.php_log, USER, USER)
        self._temporary.chmod(0o1777)

    def _check(self, text: str, environment: Mapping[str, str]) -> None:
        candidate = self._configuration / "candidate.conf"
        files.write(candidate, text, 0o600)
        try:
            answer = subprocess.run(
                [
                    *self.confinement.command(),
                    *("--ro-bind", str(candidate), CONFIGURATION),
                    *("--", PROGRAM, "-t", "-y", CONFIGURATION),
                ],
                env={"PATH": os.environ.get("PATH", os.defpath), **environment},
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise not_installed() from error
        finally:
            candidate.unlink()
        if answer.returncode != 0:
            words = answer.stderr.strip()
            raise refusal(words) or AgentError(f"PHP-FPM refuses its configuration: {words}")

    def _text(self, pool: Pool) -> str:
        code, kept = self._root / "srv/code", self._root / "srv/kept"
        admin = {
            "error_log": str(self.php_log),
            "open_basedir": f"{code}/:{kept}/:{self._temporary}/:/tmp/",
            "sys_temp_dir": str(self._temporary),
            "upload_tmp_dir": str(self._temporary),
            "expose_php": "0",
            # With 0, PHP_SELF would lack the script.  That PHP looks for a script further up the
            # path does no harm: security.limit_extensions takes nothing that is not called .php.
            "cgi.fix_pathinfo": "1",
            # The code may write code, as installers and configuration pages do.
            "opcache.validate_timestamps": "1",
            "opcache.revalidate_freq": "0",
            **pool.settings,
        }
        own = {
            "session.save_handler": "redis",
            "session.save_path": _save_path(pool.sessions),
            "redis.session.locking_enabled": "1",
            "redis.session.lock_expire": str(pool.timeout + _GRACE),
            "redis.session.lock_retries": "-1",
            "redis.session.lock_wait_time": "10000",
        }
        spare = max(2, pool.workers // 2)
        return _CONFIGURATION.format(
            control_timeout=pool.timeout + _GRACE,
            user=f"user = {USER}\ngroup = {USER}" if os.geteuid() == 0 else "",
            listen=f"{self._address}:{self._port}",
            status=self._status_address,
            allowed=",".join(pool.allowed),
            workers=pool.workers,
            start=2,
            spare=spare,
            timeout=pool.timeout,
            slow_log=self.slow_log,
            status_path=STATUS_PATH,
            values="\n".join(
                [
                    *(f"env[{name}] = ${_stand_in(name)}" for name in sorted(pool.environment)),
                    *(f"php_value[{name}] = {quoted(own[name])}" for name in sorted(own)),
                    *(
                        f"php_admin_value[{name}] = {quoted(admin[name])}"
                        for name in sorted(admin)
                        if admin[name]  # PHP-FPM takes no empty value; these are PHP's own
                    ),
                ]
            ),
        )

    def _state(self) -> dict[str, str]:
        try:
            return dict(json.loads((self._run / STATE).read_text()))
        except (OSError, ValueError):
            return {}

    def _await(self, digest: str) -> None:
        """Wait until a configuration is in force."""
        deadline = time.monotonic() + _RELOAD_TIMEOUT
        pause = 0.01
        while True:
            state = self._state()
            if state.get("digest") == digest and not state.get("error"):
                return
            if state.get("digest") == digest or time.monotonic() > deadline:
                raise AgentError(
                    "PHP-FPM does not run with what it was told; its last words:\n"
                    f"{self._supervisor.tail(NAME, 5)}"
                )
            time.sleep(pause)
            pause = min(pause * 1.3, 0.02)


def _stand_in(name: str) -> str:
    """Return the name under which PHP-FPM's main process has a variable of the code.

    That process is root's: what the code's environment says, such as LD_PRELOAD, is not for it.
    """
    return f"CONPAAS_VALUE_OF_{name}"


def _environment(wanted: Mapping[str, str]) -> dict[str, str]:
    return {_stand_in(name): wanted[name] for name in sorted(wanted)}


def _save_path(sessions: SessionStore) -> str:
    password = quote(sessions.password, safe="")
    return (
        f"tcp://{sessions.address}:{sessions.port}"
        f"?auth={password}&prefix=session:&timeout=2&read_timeout=5"
    )


_CONFIGURATION = """\
[global]
error_log = /proc/self/fd/2
daemonize = no
systemd_interval = 0
process_control_timeout = {control_timeout}s
log_limit = 8192

[code]
{user}
listen = {listen}
listen.allowed_clients = {allowed}
pm = dynamic
pm.max_children = {workers}
pm.start_servers = {start}
pm.min_spare_servers = 1
pm.max_spare_servers = {spare}
pm.max_requests = 2000
pm.status_path = {status_path}
pm.status_listen = {status}
request_terminate_timeout = {timeout}s
request_slowlog_timeout = 10s
slowlog = {slow_log}
catch_workers_output = yes
decorate_workers_output = no
clear_env = yes
security.limit_extensions = .php
{values}
"""
