"""Keeps php-fpm running, and exchanges it for one that is configured anew without a pause.

PHP-FPM's own reload waits for its slowest request before it takes another one.  Here the sockets
belong to this process: on SIGHUP it starts a second php-fpm on them, and asks the first one to end
when that is ready.  It knows nothing of ConPaaS and needs the standard library only.

Usage: ``python -m conpaas_php.generations RUN_DIRECTORY POOL_FILE ADDRESS:PORT ...``.
SIGHUP starts a new generation, SIGQUIT ends when the last request is answered, SIGUSR1 has the
logs opened anew.

The pool file says what each php-fpm is confined by: a command of bubblewrap's, which waits for the
php-fpm and ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = "php-fpm8.2"
#: Where php-fpm finds its configuration: in its confinement, nowhere else.
CONFIGURATION = "/run/php-fpm.conf"
#: Where the state is told, in the run directory.
STATE = "state.json"
#: Seconds within which php-fpm must be ready.
_START_TIMEOUT = 20.0
#: Seconds within which workers hear that they shall take no more requests.
_RETIRE_TIMEOUT = 2.0
_BACKLOG = 511
#: What PHP takes only when it begins.
_OPTIONS = ("-d", "opcache.enable=1", "-d", "opcache.max_accelerated_files=20000")
_HEARD = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
#: Where programs that the code starts are found.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Master:
    """A php-fpm.

    Args:
        confining: The process that waits for it, and ends with it.
        pid: Its own number.
    """

    confining: subprocess.Popen[bytes]
    pid: int

    @property
    def has_ended(self) -> bool:
        """Whether it has, and with it everything that it had started."""
        return self.confining.poll() is not None

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal; one that has ended is fine."""
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, how)


class Generations:
    """The php-fpm that answers, and those that still end.

    Args:
        run: A directory for the state and for configurations in use.
        pool: A file of JSON: ``digest`` and ``configuration`` are text, ``environment`` is an
            object, ``confinement`` a list of words.
        addresses: Where php-fpm listens, as it is configured: ``127.0.0.1:9000``.
    """

    def __init__(self, run: Path, pool: Path, addresses: Sequence[str]) -> None:
        self._run = run
        run.mkdir(mode=0o755, parents=True, exist_ok=True)
        (run / STATE).unlink(missing_ok=True)
        self._pool = pool
        self._number = 0
        self._present: Master | None = None
        self._ending: list[Master] = []
        self._sockets = {address: _listener(address) for address in addresses}

    def begin(self) -> bool:
        """Start a generation, and have the one before end; return whether it is ready.

        One that does not get ready is ended, and the one before stays.
        """
        told = json.loads(self._pool.read_text())
        self._number += 1
        configuration = self._run / f"generation-{self._number}.conf"
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(told["configuration"])
        # An abstract name: nothing of it stays in any directory.
        name = f"conpaas-php-{os.getpid()}-{self._number}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(f"\0{name}")
            try:
                process, master = self._confined(configuration, told, name)
                started = master is not None and _is_ready(ready, master)
            finally:
                configuration.unlink()
        if master is None or not started:
            # The kernel ends what is confined with it.
            process.kill()
            process.wait()
            self._tell(told["digest"], "php-fpm has not become ready")
            return False
        if self._present is not None:
            _retire(self._present)
            self._ending.append(self._present)
        self._present = master
        self._tell(told["digest"], "")
        return True

    def look(self) -> None:
        """Forget those that have ended."""
        self._ending = [master for master in self._ending if not master.has_ended]
        if self._present is not None and self._present.has_ended:
            self._present = None

    @property
    def is_present(self) -> bool:
        """Whether one runs that answers."""
        return self._present is not None

    @property
    def is_over(self) -> bool:
        """Whether none runs."""
        return not self._everybody()

    def reopen_logs(self) -> None:
        """Have all write to the files that have the logs' names now."""
        for master in self._everybody():
            master.signal(signal.SIGUSR1)

    def end(self, how: signal.Signals) -> None:
        """Have all end."""
        # Nobody new gets in, not even into the queue.
        for listener in self._sockets.values():
            listener.close()
        for master in self._everybody():
            master.signal(how)

    def _confined(
        self, configuration: Path, told: Mapping[str, Any], name: str
    ) -> tuple[subprocess.Popen[bytes], Master | None]:
        """Start bubblewrap; return it with its php-fpm, None when it could not make one."""
        reading, writing = os.pipe()
        inherited = [f"{key}={s.fileno()}" for key, s in self._sockets.items()]
        with open(reading) as said:
            try:
                process = subprocess.Popen(
                    [
                        *told["confinement"],
                        *("--ro-bind", str(configuration), CONFIGURATION),
                        *("--info-fd", str(writing), "--", PROGRAM, *_OPTIONS),
                        *("-F", "-y", CONFIGURATION),
                    ],
                    env={
                        "PATH": _PATH,
                        "FPM_SOCKETS": ",".join(inherited),
                        "NOTIFY_SOCKET": f"@{name}",
                        **told["environment"],
                    },
                    pass_fds=[writing, *(s.fileno() for s in self._sockets.values())],
                )
            finally:
                os.close(writing)
            text = said.read()
        return process, Master(process, json.loads(text)["child-pid"]) if text else None

    def _everybody(self) -> list[Master]:
        return [*self._ending, *([self._present] if self._present else [])]

    def _tell(self, digest: str, error: str) -> None:
        new = self._run / f".{STATE}.new"
        new.write_text(json.dumps({"digest": digest, "error": error}))
        new.replace(self._run / STATE)


def _listener(address: str) -> socket.socket:
    """Listen at an address, perhaps after those who did so before have ended."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            return socket.create_server((host, int(port)), backlog=_BACKLOG)
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _retire(master: Master) -> None:
    """Have a php-fpm take no more requests, and return when none of its workers does.

    The workers are told here too: it would take the main process a moment, in which they answer.
    """
    master.signal(signal.SIGQUIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(master.pid, signal.SIGQUIT)
    deadline = time.monotonic() + _RETIRE_TIMEOUT
    while any(_has_yet_to_hear(pid) for pid in _members(master.pid)):
        if time.monotonic() > deadline:
            return
        time.sleep(0.002)


def _members(group: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and os.getpgid(int(entry.name)) == group:
                yield int(entry.name)


def _has_yet_to_hear(pid: int) -> bool:
    """Whether a SIGQUIT waits for a process; its handler closes the socket first of all."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "ShdPnd":
                return bool(int(value, 16) & 1 << (signal.SIGQUIT - 1))
    return False


def _is_ready(ready: socket.socket, master: Master) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT
    ready.settimeout(0.05)
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in ready.recv(4096):
                return True
        if master.has_ended:
            return False
    return False


def main(arguments: list[str]) -> int:
    """Run until a signal says otherwise, or php-fpm ends by itself."""
    run, pool, *addresses = arguments
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in _HEARD:
        signal.signal(number, lambda *_: None)
    generations = Generations(Path(run), Path(pool), addresses)
    if not generations.begin():
        return 1
    ending = False
    while True:
        arrived = set(os.read(reading, 100))
        for how in (signal.SIGQUIT, signal.SIGTERM):
            if how in arrived:
                ending = True
                generations.end(how)
        if signal.SIGHUP in arrived and not ending:
            try:
                generations.begin()
            except OSError as error:
                # Such as a full disk: the generation that there is goes on.
                print(f"nothing new can be started: {error}", file=sys.stderr)
        if signal.SIGUSR1 in arrived:
            generations.reopen_logs()
        generations.look()
        if ending and generations.is_over:
            return 0
        if not ending and not generations.is_present:
            print("php-fpm has ended by itself", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
