"""The five scripts of a user, on one machine: start them, ask about them, kill them.

Knows nothing that is not in its files: whoever makes a new object for the same directory, after
whatever crash, goes on where the last one was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from conpaas.scripts.launch import NotStartedError, launch
from conpaas.scripts.processes import kill_descendants
from conpaas.scripts.runs import NEVER_STARTED, Run, Spec, runs_below

__all__ = ["GRACE", "LOG_LIMIT", "SCRIPTS", "NotStartedError", "Scripts", "launch"]
SCRIPTS = ("init", "notify", "run", "interrupt", "cleanup")
LOG_LIMIT = 16 << 20  #: bytes of agent.out and of agent.err
GRACE = 10.0  #: seconds between being asked to end and being killed


class Scripts:
    """The scripts of all versions of the code on this machine.

    Args:
        directory: Where the files of their runs are.
        out: Gets what they print to standard output.
        err: Gets what they print to standard error.
        launch: Begins a run.
        grace: Seconds between being asked to end and being killed.
    """

    def __init__(
        self,
        directory: Path,
        out: Path,
        err: Path,
        launch: Callable[[Run], None] = launch,
        grace: float = GRACE,
    ) -> None:
        self._directory = directory
        self._out = out
        self._err = err
        self._launch = launch
        self._grace = grace
        self._lock = threading.RLock()

    def start(
        self,
        version: str,
        code: Path,
        script: str,
        number: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
    ) -> bool:
        """Start a script, unless this very run of it was started before.

        Args:
            version: Of the code.
            code: Where that is, and where the script runs.
            script: One of :data:`SCRIPTS`; when ``interrupt`` ends, what still runs is terminated.
            number: Of the run: the same one never runs twice.
            arguments: Of the script.
            environment: Of the script.

        Returns:
            Whether there is such a script.

        Raises:
            NotStartedError: It could not be started.
        """
        run = self.find(version, script, number)
        file = code / f"{script}.sh"
        with self._lock:
            if not run.path.is_dir() and not file.is_file():
                return False
            for log in (self._out, self._err):
                log.parent.mkdir(parents=True, exist_ok=True)
            err_from = self._err.stat().st_size if self._err.exists() else 0
            run.create(
                Spec(
                    command=("bash", str(file), *arguments),
                    directory=str(code),
                    environment={**environment, "PWD": str(code)},
                    out=str(self._out),
                    err=str(self._err),
                    err_from=err_from,
                    log_limit=LOG_LIMIT,
                    terminates=str(self._directory) if script == "interrupt" else None,
                    grace=self._grace,
                )
            )
            self._make_latest(run)
            if run.runner is None:
                self._launch(run)
        return True

    def find(self, version: str, script: str, number: str) -> Run:
        """Return a run, which need not exist."""
        return Run(self._directory / version / f"{script}.{number}")

    def runs(self, version: str, script: str) -> list[Run]:
        """Return the runs of a script that are remembered: the latest, and all of ``init``."""
        directory = self._directory / version
        return [Run(path) for path in sorted(directory.glob(f"{script}.*")) if path.is_dir()]

    def running(self) -> list[Run]:
        """Return what runs at this moment, of any version."""
        return [run for run in runs_below(self._directory) if run.is_running]

    def statuses(self, version: str | None) -> dict[str, str]:
        """Return the status of each script of a version, in the order of :data:`SCRIPTS`."""
        statuses = dict.fromkeys(SCRIPTS, NEVER_STARTED)
        if version is not None:
            for script in SCRIPTS:
                latest = self._directory / version / script
                if latest.is_dir():
                    statuses[script] = Run(latest.resolve()).status
        return statuses

    def terminate(self) -> None:
        """Ask what runs to end, with all its descendants; return at once."""
        for run in self.running():
            if run.runner is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(run.runner.pid, signal.SIGTERM)

    def kill(self, patience: float = 5.0) -> None:
        """Kill what runs, with all its descendants, and wait until it is gone."""
        until = time.monotonic() + patience
        while running := self.running():
            for run in running:
                if run.runner is None:
                    continue
                kill_descendants(run.runner.pid, patience / 10)
                if time.monotonic() > until:
                    # It should have noted how its script ended; somebody has stopped it.
                    os.kill(run.runner.pid, signal.SIGKILL)
            time.sleep(0.01)

    def last_words(self, run: Run, lines: int = 10) -> str:
        """Return the last lines of standard error since a run began."""
        try:
            with self._err.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = run.spec.err_from if run.spec.err_from <= size else 0
                file.seek(max(begin, size - 4000))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _make_latest(self, run: Run) -> None:
        latest = run.path.with_name(run.script)
        new = run.path.with_name(f".{run.script}.{secrets.token_hex(4)}")
        new.symlink_to(run.path.name)
        new.replace(latest)
        if run.script == "init":
            return  # each is remembered for ever: it must not be run again
        for other in self.runs(run.path.parent.name, run.script):
            if other.path != run.path and not other.is_running:
                shutil.rmtree(other.path)
