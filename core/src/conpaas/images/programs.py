"""Run the programs that build, telling how far they are."""

from __future__ import annotations

import collections
import subprocess
from collections.abc import Callable, Mapping, Sequence

from conpaas.errors import CloudError

_TAIL = 25


def run(
    command: Sequence[str],
    lock: int,
    environment: Mapping[str, str] | None = None,
    line: Callable[[str], None] = lambda text: None,
) -> None:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        lock: A file descriptor that it inherits: the lock lasts while it runs, even if we die.
        environment: Its whole environment; None gives it ours.
        line: Told each line that it prints.

    Raises:
        CloudError: It is missing or failed; the message has the end of what it printed.
    """
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            pass_fds=(lock,),
        )
    except FileNotFoundError:
        raise CloudError(f"{command[0]} is not installed: apt-get install {command[0]}") from None
    with process:
        try:
            for text in process.stdout or ():
                tail.append(text.rstrip())
                line(text.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        printed = "\n".join(tail)
        raise CloudError(f"{command[0]} failed with exit code {process.returncode}:\n{printed}")
