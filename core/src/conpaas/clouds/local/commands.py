"""Run Debian's programs, and say in words what went wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from conpaas.errors import CloudError


def run(
    *command: str,
    given: str | None = None,
    timeout: float = 60.0,
    fine: Sequence[int] = (0,),
) -> str:
    """Return what a program prints; it has no terminal and inherits nothing of ours.

    Args:
        command: The program and its arguments.
        given: What it reads.
        timeout: Seconds until it is killed.
        fine: The exit codes that are no failure.

    Raises:
        CloudError: It is missing, failed or took too long; its own words are in the message.
    """
    try:
        done = subprocess.run(
            command,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
        )
    except FileNotFoundError:
        raise CloudError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CloudError(f"{_shown(command)} was still running after {timeout:.0f} s") from None
    if done.returncode not in fine:
        words = (done.stderr or done.stdout).strip()[-1000:] or f"exit code {done.returncode}"
        raise CloudError(f"{_shown(command)}: {words}")
    return done.stdout


def _shown(command: Sequence[str]) -> str:
    return " ".join(command)[:200]
