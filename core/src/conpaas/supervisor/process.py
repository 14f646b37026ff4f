"""Supervision by this very process, for tests and developers' machines."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal as signals
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from conpaas.errors import UnreachableError
from conpaas.supervisor.base import KILL_AFTER, BaseSupervisor


@dataclass(frozen=True)
class _Definition:
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    user: str | None
    cwd: Path | None
    ready_fd: int | None
    stop_signal: signals.Signals
    kill_after: float
    whole: bool


@dataclass
class _Program:
    definition: _Definition
    wanted: bool
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    keeper: threading.Thread | None = None
    #: Guards the fields above and tells about their changes.
    changed: threading.Condition = field(default_factory=threading.Condition)


class ProcessSupervisor(BaseSupervisor):
    """Keeps real child processes of this process running; they end with it.

    Args:
        logs: Gets a directory per program, in which ``current`` is its output (never rotated).
        pause: Seconds between the end of a program and its next start.
    """

    def __init__(self, logs: Path, pause: float = 1.0) -> None:
        super().__init__(logs)
        self._pause = pause
        self._programs: dict[str, _Program] = {}
        self._lock = threading.Lock()
        self._active = True
        atexit.register(self.shutdown)

    def define(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] = {},
        user: str | None = None,
        cwd: Path | None = None,
        ready_fd: int | None = None,
        down: bool = False,
        stop_signal: str = "TERM",
        kill_after: float = KILL_AFTER,
        whole: bool = False,
    ) -> bool:
        """Remember what the program is; see :meth:`BaseSupervisor.define`."""
        self._require_definition(name, command, environment, stop_signal)
        items = tuple(sorted(environment.items()))
        ends_by = signals.Signals[f"SIG{stop_signal}"]
        definition = _Definition(
            tuple(command), items, user, cwd, ready_fd, ends_by, kill_after, whole
        )
        with self._lock:
            known = self._programs.get(name)
            if known is None:
                self._programs[name] = _Program(definition, wanted=not down)
                return True
            changed = known.definition != definition
            known.definition = definition
            return changed

    def scan(self) -> None:
        """Start what is to run; see :meth:`BaseSupervisor.scan`."""
        if not self._active:
            raise UnreachableError("This supervisor has been shut down: make another.")
        for name, program in list(self._programs.items()):
            with program.changed:
                if program.wanted:
                    self._keep(name, program)

    def start(self, name: str, wait: float = 10.0) -> None:
        """Start a program; see :meth:`BaseSupervisor.start`."""
        self._require(name)
        program = self._programs[name]
        program.wanted = True
        self.scan()
        with program.changed:
            if wait and not program.changed.wait_for(lambda: program.ready, wait):
                raise self._failed(name, f"has not started within {wait:g} s")

    def stop(self, name: str, wait: float = 20.0) -> None:
        """Stop a program; see :meth:`BaseSupervisor.stop`."""
        self._require(name)
        self._end(name, self._programs[name], wait)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal; see :meth:`BaseSupervisor.signal`."""
        self._require(name)
        self._require_signal(signal)
        program = self._programs[name]
        with program.changed:
            if program.process is not None:
                program.process.send_signal(signals.Signals[f"SIG{signal}"])

    def remove(self, name: str) -> None:
        """Stop a program and forget it; see :meth:`BaseSupervisor.remove`."""
        self._require_name(name)
        if name in self._programs:
            self.stop(name)
            with self._lock:
                del self._programs[name]

    def pid(self, name: str) -> int | None:
        """Return a program's process number; see :meth:`BaseSupervisor.pid`."""
        self._require_name(name)
        program = self._programs.get(name)
        process = program.process if program else None
        return process.pid if process is not None and process.poll() is None else None

    def names(self) -> list[str]:
        """Return the names of all defined programs, sorted."""
        with self._lock:
            return sorted(self._programs)

    def is_active(self) -> bool:
        """Return whether :meth:`shutdown` has not been called."""
        return self._active

    def shutdown(self, wait: float = 30.0) -> None:
        """End all programs; see :meth:`BaseSupervisor.shutdown`."""
        self._active = False
        for name, program in list(self._programs.items()):
            wanted = program.wanted
            self._end(name, program, wait)
            program.wanted = wanted
        atexit.unregister(self.shutdown)

    def _keep(self, name: str, program: _Program) -> None:
        if program.keeper is None:
            program.keeper = threading.Thread(
                target=self._run, args=(name, program), name=f"keeper of {name}", daemon=True
            )
            program.keeper.start()

    def _run(self, name: str, program: _Program) -> None:
        """Start the program again and again until it is no longer wanted."""
        log = self.log_file(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with program.changed, log.open("ab") as output:
                if not program.wanted:
                    program.keeper = None
                    program.changed.notify_all()
                    return
                process = self._spawn(program, output)
                program.process = process
                program.changed.notify_all()
            if process is not None:
                process.wait()
                if program.definition.whole:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signals.SIGKILL)
            with program.changed:
                program.process = None
                program.ready = False
                program.changed.notify_all()
                program.changed.wait_for(lambda: not program.wanted, self._pause)

    def _spawn(self, program: _Program, output: IO[bytes]) -> subprocess.Popen[bytes] | None:
        definition = program.definition
        command = list(definition.command)
        reading = writing = -1
        if definition.ready_fd is not None:
            reading, writing = os.pipe()
            # Through /proc, because Debian's sh cannot name a descriptor above 9.
            move = f'exec {definition.ready_fd}>/proc/self/fd/{writing}; exec "$@"'
            command = ["/bin/sh", "-c", move, "sh", *command]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **dict(definition.environment)},
                cwd=definition.cwd,
                user=definition.user,
                pass_fds=() if writing < 0 else (writing,),
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError, LookupError) as error:
            output.write(f"{definition.command[0]} cannot be started: {error}\n".encode())
            if reading >= 0:
                os.close(reading)
            return None
        finally:
            if writing >= 0:
                os.close(writing)
        if reading < 0:
            program.ready = True
        else:
            threading.Thread(
                target=_await_ready, args=(program, process, reading), daemon=True
            ).start()
        return process

    def _end(self, name: str, program: _Program, wait: float) -> None:
        with program.changed:
            program.wanted = False
            program.changed.notify_all()
            process = program.process
            if process is not None:
                process.send_signal(program.definition.stop_signal)
                killer = threading.Timer(program.definition.kill_after, _kill, [process])
                killer.daemon = True
                killer.start()
            if wait and not program.changed.wait_for(lambda: program.keeper is None, wait):
                raise self._failed(name, f"has not stopped within {wait:g} s")
            if process is not None and wait:
                killer.cancel()


def _await_ready(program: _Program, process: subprocess.Popen[bytes], reading: int) -> None:
    with open(reading, "rb") as notification:
        line = notification.readline()
    with program.changed:
        if line and program.process is process:
            program.ready = True
            program.changed.notify_all()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
