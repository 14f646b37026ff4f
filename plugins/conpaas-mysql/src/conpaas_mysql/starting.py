"""Becomes the database server: the program that is kept running.

Before each start it finds out what the data are worth: what a transfer has left half done is
begun anew, and of a server that was killed the last transaction is looked up in its logs, so that
it gets from the others only what it lacks.  It begins a cluster only when it was asked to, once.

Usage: ``python -m conpaas_mysql.starting ROOT VOLUME``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conpaas import files
from conpaas_mysql import galera
from conpaas_mysql.configuration import Configuration
from conpaas_mysql.directories import Directories, give
from conpaas_mysql.transfers import end_transfers

PROGRAM = "/usr/sbin/mariadbd"
#: Where programs that the server starts are found: those that make copies.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BOOTSTRAP = "bootstrap"
_STARTED = "started.cnf"
_STARTS = "starts"
#: Starts that are remembered.
_REMEMBERED = 20
#: Lies in data that were set up here, until a cluster has begun with them.
_NEW = "conpaas-new"
_RESERVE = 24 << 20  #: bytes: temporary tables take the half of it at once
_PAUSE = 5.0  #: seconds before it ends when it cannot begin


def ask_for_bootstrap(directories: Directories) -> None:
    """Have the next start, and no other, begin a cluster."""
    (directories.run / _BOOTSTRAP).touch()


def forget_bootstrap(directories: Directories) -> None:
    """Take back that request."""
    (directories.run / _BOOTSTRAP).unlink(missing_ok=True)


def running_configuration(directories: Directories) -> Configuration:
    """Return the configuration that the server was started with last."""
    return Configuration.read(directories.run / _STARTED)


def note_running(directories: Directories, configuration: Configuration) -> None:
    """Note what a running server goes on with."""
    files.write(directories.run / _STARTED, configuration.text, 0o600)


def starts(directories: Directories) -> list[float]:
    """Return when the server was started lately: seconds since 1970, oldest first."""
    try:
        return [float(line) for line in (directories.run / _STARTS).read_text().split()]
    except OSError:
        return []


def forget_starts(directories: Directories) -> None:
    """Count starts anew."""
    (directories.run / _STARTS).unlink(missing_ok=True)


def mark_new(data: Path) -> None:
    """Note of data that are just being set up that no cluster has begun with them yet."""
    (data / _NEW).touch()


def is_whole(directories: Directories) -> bool:
    """Whether there are data that a server may begin with: set up here, or received to the end.

    Galera knows no id of what it has not received to the end.
    """
    data = directories.data
    # The mark first: it stays until after a server that begins has noted its id.
    return (data / _NEW).exists() or bool(galera.saved(data).cluster)


def run_briefly(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the server's program for something that it ends by itself; its words are ``stderr``."""
    return subprocess.run(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        env={"PATH": PATH},
    )


def recover(directories: Directories) -> galera.Saved:
    """Return the position of data that no server uses at the moment; it takes a second.

    Raises:
        OSError: The server cannot find it out; the last words of it.
    """
    if not is_whole(directories):
        return galera.Saved("", -1, False)
    left = galera.saved(directories.data)
    if left.number >= 0 or not left.cluster:
        return left
    answer = run_briefly(
        f"--defaults-file={directories.options_file}",
        # It may be another server's.
        f"--datadir={directories.data}",
        "--wsrep-recover",
    )
    found = galera.recovered(answer.stderr)
    if answer.returncode != 0 or found is None:
        words = "\n".join(answer.stderr.splitlines()[-15:])
        raise OSError(f"the position of the data cannot be found out:\n{words}")
    return found


def command(directories: Directories) -> list[str]:
    """Prepare a start, and return the server's command.

    Raises:
        OSError: It cannot be started now.
    """
    bootstrap = directories.run / _BOOTSTRAP
    begins = bootstrap.exists()
    # At once: whatever happens from here on, the next start begins no cluster.
    bootstrap.unlink(missing_ok=True)
    directories.make()
    # Of a server that was killed.
    end_transfers(directories.data)
    (directories.server_run / "mysqld.pid").unlink(missing_ok=True)
    directories.socket.unlink(missing_ok=True)
    keep_reserve(directories)
    options = []
    if _is_new(directories) and not begins:
        # As a member it would be overwritten; half a copy must not pass for data.
        raise OSError("it is set up, and waits to be told that it begins a cluster")
    if is_whole(directories):
        # Galera takes up its last group by itself, except where there is no other to connect to.
        if begins or (_is_single(directories) and galera.was_alone(directories.data)):
            galera.allow_bootstrap(directories.data)
            options.append("--wsrep-new-cluster")
        if (directories.data / "grastate.dat").exists():
            give(directories.data / "grastate.dat")
        if galera.saved(directories.data).cluster:
            (directories.data / _NEW).unlink(missing_ok=True)
        position = recover(directories)
        if position.cluster:
            options.append(f"--wsrep-start-position={position.cluster}:{position.number}")
    elif begins:
        raise OSError("there are no whole data here that a cluster could begin with")
    else:
        _empty(directories.data)
    (directories.data / "sst_in_progress").unlink(missing_ok=True)
    return [PROGRAM, f"--defaults-file={directories.options_file}", *options]


def keep_reserve(directories: Directories) -> None:
    """Keep some room on the volume, and give it up when there is no other: a server must start."""
    free = shutil.disk_usage(directories.volume).free
    reserve = directories.reserve
    if free < _RESERVE:
        reserve.unlink(missing_ok=True)
    else:
        renew_reserve(directories)


def renew_reserve(directories: Directories) -> bool:
    """Have some room kept again, if there is enough by now; return whether it is."""
    reserve = directories.reserve
    if not reserve.exists() and shutil.disk_usage(directories.volume).free > 2 * _RESERVE:
        with reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE)
    return reserve.exists()


def _is_new(directories: Directories) -> bool:
    data = directories.data
    return (data / _NEW).exists() and not galera.saved(data).cluster


def _is_single(directories: Directories) -> bool:
    """Whether the cluster has one member only."""
    return "," not in Configuration.read(directories.options_file).server["wsrep_cluster_address"]


def _empty(data: Path) -> None:
    """Begin anew: half a copy is of no use, and its rest could be mistaken for data.

    What stays is whom it was together with: those may wait for nobody but it.  Who was alone with
    half a copy must not begin a cluster with nothing.
    """
    data.mkdir(mode=0o700, exist_ok=True)
    give(data)
    kept = set() if galera.was_alone(data) else {"gvwstate.dat"}
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def _note_start(directories: Directories) -> None:
    times = [*starts(directories), time.time()][-_REMEMBERED:]
    (directories.run / _STARTS).write_text("".join(f"{at:.1f}\n" for at in times))


def main(arguments: list[str]) -> int:
    """Become the server."""
    root, volume = arguments
    directories = Directories(Path(root), Path(volume))
    _note_start(directories)
    try:
        server = command(directories)
    except OSError as error:
        print(f"the database cannot be started: {error}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)
        return 1
    note_running(directories, Configuration.read(directories.options_file))
    os.execve(PROGRAM, server, {**os.environ, "PATH": PATH})  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
