"""``conpaas-machine boot``: the first process of ours on a machine of the local cloud.

There it stands in for cloud-init and systemd, neither of which such a machine has.  Everything
heavy is imported where it is needed: later boots need none of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from conpaas import files
from conpaas.errors import AgentError, InvalidError
from conpaas.machine.places import Places
from conpaas.machine.user_data import PROGRAM, UserData, parse


def boot(places: Places, run_command: Callable[[Sequence[str]], None] | None = None) -> None:
    """Carry out the user-data, once in the machine's life.

    A first boot that was interrupted is carried out again.

    Args:
        places: Where everything is.
        run_command: Carries out one command of the user-data.

    Raises:
        ConPaaSError: There is no user-data, it cannot be read, or a command failed.
    """
    marker = places.state / "booted"
    if marker.exists():
        return
    try:
        user_data = parse(places.seed.read_text())
    except FileNotFoundError as error:
        raise InvalidError(
            f"{places.seed} does not exist: the cloud gave no user-data."
        ) from error
    _carry_out(user_data, places, run_command or (lambda command: _run(command, places)))
    places.state.mkdir(parents=True, exist_ok=True)
    files.write(marker, "")


def share_mounts(places: Places) -> None:
    """Have programs with files of their own see what is mounted later, as systemd does."""
    if places.root == Path("/"):
        # Where that is not allowed, the console gets to know; everything but that works.
        subprocess.run(["mount", "--make-rshared", "/"])


def run(places: Places) -> NoReturn:
    """Become the supervisor of the machine's programs."""
    supervisor = places.supervisor
    supervisor.directory.mkdir(parents=True, exist_ok=True)
    places.sockets.mkdir(parents=True, exist_ok=True)
    command = supervisor.run_command()
    os.chdir("/")
    os.execvp(command[0], command)  # noqa: S606  (no shell is wanted)


def _carry_out(
    user_data: UserData, places: Places, run_command: Callable[[Sequence[str]], None]
) -> None:
    for file in user_data.files:
        path = places.root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, file.content, file.mode)
    for command in user_data.commands:
        run_command(command)


def _run(command: Sequence[str], places: Places) -> None:
    if tuple(command) == (PROGRAM, "join"):
        # In this very process, because another Python would take as long as the rest of the boot.
        from conpaas.machine.join import join

        join(places)
        return
    try:
        status = subprocess.run(command, check=False, cwd=Path("/")).returncode
    except OSError as error:
        raise AgentError(f"{command[0]} cannot be run: {error.strerror}.") from error
    if status != 0:
        raise AgentError(f"{command[0]} of the user-data failed with status {status}.")
