"""Runs one script, apart from whoever began it: ``python -m conpaas.scripts.runner <run>``.

It returns as soon as the script is begun, or was begun before; a process of its own stays, which
outlives the agent, owns every descendant of the script and notes how the script ended.  SIGTERM to
it ends the script with all its descendants: asked first, killed after a grace.  Knows nothing of
ConPaaS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from conpaas.scripts.processes import (
    adopt_orphans,
    descendants,
    exit_code,
    kill_descendants,
    terminate_descendants,
)
from conpaas.scripts.runs import Run, Spec, runs_below

_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM})
_CANNOT_RUN = 127  #: the exit code of shells for it
_TICK = 0.25  #: seconds between looks at the sizes of the logs


def main() -> None:
    """Fork; return from the parent once the child has claimed the run."""
    run = Run(Path(sys.argv[1]))
    ready, claimed = os.pipe()
    if os.fork():
        os.close(claimed)
        os.read(ready, 1)  # ends when the child closes its end, or dies
        return
    os.close(ready)
    os.setsid()
    os.chdir("/")
    # From the moment on that others know of this process, a signal must find it prepared.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    if run.claim():
        os.close(claimed)
        _run(run)


def _run(run: Run) -> None:
    spec = run.spec
    adopt_orphans()
    code = _execute(spec)
    if spec.terminates is not None:
        _terminate_others(run, Path(spec.terminates))
    run.end(code)


def _execute(spec: Spec) -> int:
    logs = (Path(spec.out), Path(spec.err))
    with logs[0].open("ab") as out, logs[1].open("ab") as err:
        try:
            script = subprocess.Popen(
                spec.command,
                cwd=spec.directory,
                env=spec.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()),
            )
        except OSError as error:
            err.write(f"{spec.command[0]} cannot be run: {error}\n".encode())
            return _CANNOT_RUN
    return _watch(script.pid, spec, logs)


def _watch(script: int, spec: Spec, logs: tuple[Path, Path]) -> int:
    code: int | None = None
    kill_at: float | None = None
    while code is None or (kill_at is not None and descendants(os.getpid())):
        caught = signal.sigtimedwait(_SIGNALS, _TICK)
        if caught is not None and caught.si_signo == signal.SIGTERM and kill_at is None:
            terminate_descendants(os.getpid())
            kill_at = time.monotonic() + spec.grace
        ended = _reap()
        code = ended.get(script, code)
        if kill_at is not None and time.monotonic() > kill_at:
            kill_descendants(os.getpid())
        for log in logs:
            shorten(log, spec.log_limit)
    return code


def _reap() -> dict[int, int]:
    """Return the exit codes of the children that have ended, those that were adopted too."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended[pid] = exit_code(status)
    return ended


def _terminate_others(own: Run, runs: Path) -> None:
    for run in runs_below(runs):
        if run.path != own.path and run.is_running and run.runner is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.runner.pid, signal.SIGTERM)


def shorten(log: Path, limit: int) -> None:
    """Keep a log from growing over ``limit`` bytes; its last half goes to ``<log>.1``.

    Whoever writes to it appends, and so goes on at the new end.
    """
    # Two runners may be at it at once, and a full disk must not end a script.
    with contextlib.suppress(OSError):
        if log.stat().st_size <= limit:
            return
        with log.open("r+b") as file:
            file.seek(-(limit // 2), os.SEEK_END)
            log.with_name(f"{log.name}.1").write_bytes(file.read(limit // 2))
            file.truncate(0)


if __name__ == "__main__":
    main()
