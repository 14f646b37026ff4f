"""Supervision by s6 (Debian's package ``s6``): one directory per program, one logger each."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conpaas import files
from conpaas.errors import InvalidError, UnreachableError
from conpaas.supervisor.base import KILL_AFTER, BaseSupervisor

_LOG_FILE_BYTES = 2_000_000
_LOG_FILES = 5
_MAX_PROGRAMS = 500
#: Seconds for which one command's effect is waited for before it is sent again.
_SLICE = 2.0
#: A program's number is that of its process group: s6 begins a session for it.
_END_OF_GROUP = 'kill -KILL "-$(cat group)" 2>/dev/null; rm -f group'
#: s6-svc's letter for each signal.
_LETTERS = {
    "ALRM": "a",
    "CONT": "c",
    "HUP": "h",
    "INT": "i",
    "KILL": "k",
    "QUIT": "q",
    "STOP": "p",
    "TERM": "t",
    "USR1": "1",
    "USR2": "2",
    "WINCH": "y",
}


@dataclass(frozen=True)
class _Ending:
    """How a program is stopped, and what becomes of its children."""

    stop_signal: str
    kill_after: float
    whole: bool


class Supervisor(BaseSupervisor):
    """Has s6 keep the programs of a directory running.

    Every process may make such an object for the same directory; whoever runs
    :meth:`run_command` is the supervisor.

    Args:
        directory: s6's scan directory; made when the first program is defined.
        logs: Gets a directory per program, in which ``current`` is the newest part of its output.
    """

    def __init__(self, directory: Path, logs: Path) -> None:
        super().__init__(logs)
        self.directory = directory

    def run_command(self) -> list[str]:
        """Return the command that is the supervisor; it stays in the foreground.

        It ends on SIGTERM, as it does on :meth:`shutdown`, after everything under it has ended.
        """
        return ["s6-svscan", "-c", str(_MAX_PROGRAMS), str(self.directory)]

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
        """Write the program's service directory; see :meth:`BaseSupervisor.define`."""
        self._require_definition(name, command, environment, stop_signal)
        ending = _Ending(stop_signal, kill_after, whole)
        target = self.directory / name
        log_directory = self.logs / name
        log_directory.mkdir(parents=True, exist_ok=True)
        if target.exists():
            return self._write(target, command, environment, user, cwd, ready_fd, ending)
        # A name that begins with a dot is none to s6: it never sees half a directory.
        new = self.directory / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        (new / "log").mkdir(parents=True)
        self._write(new, command, environment, user, cwd, ready_fd, ending)
        logger = ["s6-log", f"n{_LOG_FILES}", f"s{_LOG_FILE_BYTES}", str(log_directory)]
        files.write(new / "log" / "run", f"#!/bin/sh\nexec {shlex.join(logger)}\n", 0o755)
        if down:
            files.write(new / "down", "")
        new.rename(target)
        return True

    def scan(self) -> None:
        """Have s6 look at the directory, and wait until each program has its supervisor."""
        self._control("-an")
        deadline = time.monotonic() + 10
        for name in self.names():
            while not self._is_taken_up(name):
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"s6-svscan has not taken up {name!r}; does it run on {self.directory}?"
                    )
                time.sleep(0.002)

    def start(self, name: str, wait: float = 10.0) -> None:
        """Start a program; see :meth:`BaseSupervisor.start`."""
        self._require(name)
        if not self._is_taken_up(name):
            self.scan()
        tells_when_ready = (self.directory / name / "notification-fd").exists()
        until, deadline = "-wU" if tells_when_ready else "-wu", time.monotonic() + wait
        while True:
            # In slices: an event that is missed, or a command, costs one of them only.
            left = deadline - time.monotonic()
            if self._svc(name, "-U", until, min(max(left, 0.0), _SLICE)):
                return
            # What counts is whether it runs.
            if not tells_when_ready and self.is_running(name):
                return
            if left <= _SLICE:
                told = _run(["s6-svstat", str(self.directory / name)]).stdout.strip()
                raise self._failed(name, f"has not started within {wait:g} s ({told})")

    def stop(self, name: str, wait: float = 20.0) -> None:
        """Stop a program; see :meth:`BaseSupervisor.stop`."""
        self._require(name)
        if not self._is_taken_up(name):
            files.write(self.directory / name / "down", "")
        elif not self._svc(name, "-D", "-wD", wait):
            raise self._failed(name, f"has not stopped within {wait:g} s")

    def signal(self, name: str, signal: str) -> None:
        """Send a signal; see :meth:`BaseSupervisor.signal`."""
        self._require(name)
        self._require_signal(signal)
        if self.is_running(name):
            self._svc(name, f"-{_LETTERS[signal]}")

    def remove(self, name: str) -> None:
        """Stop a program and forget it; see :meth:`BaseSupervisor.remove`."""
        self._require_name(name)
        if name in self.names():
            if self._is_taken_up(name):
                self.stop(name)
            gone = self.directory / f".{name}.gone"
            shutil.rmtree(gone, ignore_errors=True)
            (self.directory / name).rename(gone)
            if self.is_active():
                self._control("-an")
                self._wait_until_released(gone / "supervise" / "control", name)
                self._wait_until_released(gone / "log" / "supervise" / "control", name)
            shutil.rmtree(gone, ignore_errors=True)

    def pid(self, name: str) -> int | None:
        """Return a program's process number; see :meth:`BaseSupervisor.pid`."""
        self._require_name(name)
        if not self._is_taken_up(name):
            return None
        answer = _run(["s6-svstat", "-o", "pid", str(self.directory / name)])
        number = int(answer.stdout) if answer.returncode == 0 else -1
        return number if number > 0 else None

    def names(self) -> list[str]:
        """Return the names of the directory's programs, sorted."""
        try:
            entries = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        return sorted(name for name in entries if not name.startswith("."))

    def is_active(self) -> bool:
        """Return whether an s6-svscan runs on the directory."""
        return _listens(self.directory / ".s6-svscan" / "control")

    def shutdown(self, wait: float = 30.0) -> None:
        """End s6-svscan and everything under it; see :meth:`BaseSupervisor.shutdown`."""
        if not self.is_active():
            return
        self._control("-t")
        control, deadline = self.directory / ".s6-svscan" / "control", time.monotonic() + wait
        while (left := deadline - time.monotonic()) > _SLICE:
            if _is_released(control, _SLICE):
                return
            self._tell_again()
        if not _is_released(control, left):
            raise self._failed("s6-svscan", f"has not ended within {wait:g} s")

    def _tell_again(self) -> None:
        """Tell those that have not heard of the end: one that has just begun misses it at times.

        s6-svscan tells everybody once, and then waits for them, whatever it is told itself.
        """
        for control in self.directory.glob("*/supervise/control"):
            program = control.parents[1]
            logger = program / "log"
            if _listens(control):
                if _run(["s6-svstat", "-o", "wantedup", str(program)]).stdout.strip() == "true":
                    _run(["s6-svc", "-xd", str(program)])
            elif _listens(logger / "supervise" / "control"):
                _run(["s6-svc", "-X", str(logger)])

    def _write(
        self,
        target: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        user: str | None,
        cwd: Path | None,
        ready_fd: int | None,
        ending: _Ending,
    ) -> bool:
        lines = ["#!/bin/sh", "exec </dev/null 2>&1"]
        if ending.whole:
            lines.append("echo $$ >group")
        lines += [f"export {key}={shlex.quote(environment[key])}" for key in sorted(environment)]
        if cwd is not None:
            lines.append(f"cd {shlex.quote(str(cwd))} || exit 1")
        as_user = ["s6-setuidgid", user] if user else []
        lines.append(f"exec {shlex.join([*as_user, *command])}")
        changed = files.write(target / "run", "\n".join(lines) + "\n", 0o755)
        changed |= files.write(target / "timeout-kill", f"{ending.kill_after * 1000:.0f}\n")
        changed |= files.write(target / "down-signal", f"SIG{ending.stop_signal}\n")
        finish = f"#!/bin/sh\n{_END_OF_GROUP}\n" if ending.whole else None
        changed |= _write_or_remove(target / "finish", finish, 0o755)
        notification = None if ready_fd is None else f"{ready_fd}\n"
        return changed | _write_or_remove(target / "notification-fd", notification)

    def _control(self, *letters: str) -> None:
        answer = _run(["s6-svscanctl", *letters, str(self.directory)])
        if answer.returncode != 0:
            raise UnreachableError(
                f"No s6-svscan runs on {self.directory}: start {shlex.join(self.run_command())} "
                f"({answer.stderr.strip()})."
            )

    def _svc(self, name: str, action: str, until: str = "", wait: float = 0) -> bool:
        """Send a command to a program's supervisor; return False when the wait was in vain."""
        waiting = [until, "-T", str(max(1, round(wait * 1000)))] if until and wait else []
        answer = _run(["s6-svc", *waiting, action, str(self.directory / name)])
        if answer.returncode not in (0, 99) and not waiting:
            raise InvalidError(f"s6-svc {action} on {name!r} failed: {answer.stderr.strip()}")
        return answer.returncode == 0

    def _is_taken_up(self, name: str) -> bool:
        # It listens before it has a status, without which s6's commands fail at once.
        supervise = self.directory / name / "supervise"
        return _listens(supervise / "control") and (supervise / "status").exists()

    def _wait_until_released(self, control: Path, name: str, wait: float = 30.0) -> None:
        if not _is_released(control, wait):
            raise self._failed(name, f"has not ended within {wait:g} s")


def _write_or_remove(path: Path, content: str | None, mode: int = 0o644) -> bool:
    """Have a file hold what it should, or not be there; return whether that is new."""
    if content is not None:
        return files.write(path, content, mode)
    if not path.exists():
        return False
    path.unlink()
    return True


def _listens(control: Path) -> bool:
    """Return whether a process reads from the named pipe: s6's own test of being alive."""
    try:
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    with contextlib.suppress(OSError):
        os.close(descriptor)
    return True


def _is_released(control: Path, wait: float) -> bool:
    """Wait until nobody listens; return False when that was in vain."""
    deadline = time.monotonic() + wait
    while _listens(control):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UnreachableError(
            f"{command[0]} is not installed: install Debian's package s6."
        ) from error
