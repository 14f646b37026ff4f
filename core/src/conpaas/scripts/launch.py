"""Begin a script that outlives whoever begins it."""

from __future__ import annotations

import subprocess
import sys

from conpaas.scripts.runs import Run

_LAUNCH_TIMEOUT = 30.0


class NotStartedError(RuntimeError):
    """A script could not be started; the text says why."""


def launch(run: Run) -> None:
    """Begin a run in a process of its own; one that was begun before is left alone.

    Raises:
        NotStartedError: It could not be begun.
    """
    log = run.path / "runner.log"
    try:
        with log.open("ab") as out:
            subprocess.run(
                [sys.executable, "-m", "conpaas.scripts.runner", str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=_LAUNCH_TIMEOUT,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStartedError(f"{run.script}.sh cannot be started: {error}") from error
    if run.runner is None:
        words = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise NotStartedError(f"{run.script}.sh cannot be started: {words}")
