"""The MariaDB server of a node, a member of a Galera cluster.

Knows nothing of ConPaaS but its supervisor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conpaas import files
from conpaas.errors import AgentError, UnreachableError
from conpaas.supervisor.base import BaseSupervisor
from conpaas_mysql import accounts, prepared, starting
from conpaas_mysql.configuration import Configuration, Room, configuration
from conpaas_mysql.directories import SERVER_USER, Directories, administrator, give
from conpaas_mysql.hosts import write_hosts
from conpaas_mysql.parts import HEALTH_PORT, ClusterSecrets, DatabasePart
from conpaas_mysql.transfers import end_transfers
from conpaas_mysql.variables import change_running, reload_certificate

NAME = "mariadb"
HEALTH = "mysql-health"
_MONITOR_PASSWORD = "monitor-password"  # noqa: S105 - the name of a file
#: Seconds that the server has to write what it has in memory, when it is asked to end.
_STOP_TIMEOUT = 600.0
#: Seconds that one has which was not ready yet.
_WAITING_TIMEOUT = 3.0


class MariaDb:
    """The one database server of a machine.

    Args:
        directories: Where its files lie.
        supervisor: Keeps it running.
        listen: The address that it listens at.
    """

    def __init__(self, directories: Directories, supervisor: BaseSupervisor, listen: str) -> None:
        self.directories = directories
        self._supervisor = supervisor
        self._listen = listen

    # -- what it is told ----------------------------------------------------------------------

    def configure(self, part: DatabasePart, secrets: ClusterSecrets) -> bool:
        """Write what it needs to know, and change at once what can change while it runs.

        Returns whether anything is new.
        """
        directories = self.directories
        self._make_directories()
        changed = write_hosts(directories.root, part.name, part.members)
        new_certificate = False
        for name, text in (
            ("authority.pem", secrets.authority),
            ("certificate.pem", secrets.certificate),
            ("key.pem", secrets.key),
        ):
            new_certificate |= self._write(directories.configuration / name, text)
        own = accounts.own_accounts(secrets.transfer_password, secrets.monitor_password)
        changed |= self._write(directories.accounts_file, accounts.script(own))
        new_password = self._write(
            directories.configuration / _MONITOR_PASSWORD, secrets.monitor_password
        )
        new = configuration(
            part, secrets, directories, self._listen, Room.of(directories.volume, directories.root)
        )
        changed |= self._write(directories.options_file, new.text)
        changed |= self._define(new_password)
        if self.is_running:
            changed |= self._change_running(new, new_certificate)
        return changed | new_certificate | new_password

    @property
    def is_outdated(self) -> bool:
        """Whether it runs with other settings than it was told."""
        wanted = Configuration.read(self.directories.options_file)
        return self.is_running and bool(
            wanted.news(starting.running_configuration(self.directories))
        )

    # -- its data -----------------------------------------------------------------------------

    @property
    def has_data(self) -> bool:
        """Whether there are data that it may begin with."""
        return starting.is_whole(self.directories)

    def create_data(self) -> None:
        """Set up a new, empty database; it is there as a whole, or not at all.

        Raises:
            AgentError: There is one, or it cannot be set up.
        """
        directories = self.directories
        if self.has_data:
            raise AgentError("there are data on the volume already: nothing happens to them")
        new = directories.volume / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(directories.data, ignore_errors=True)
        try:
            if prepared.is_prepared(directories):
                prepared.copy(directories, new)
            else:
                self._install(new)
            starting.mark_new(new)
            # Of this volume alone: a machine may share its disk with many others.
            files.sync_file_system(directories.volume)
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)
            raise AgentError(f"no database can be set up: {error}") from error
        new.rename(directories.data)
        files.sync_directory(directories.volume)

    def _install(self, new: Path) -> None:
        """Have the server make its first data.

        Raises:
            OSError: It cannot; tells its last words.
        """
        directories = self.directories
        script = directories.run / "first-accounts.sql"
        files.write(script, prepared.first_statements(), 0o600)
        try:
            answer = subprocess.run(
                [
                    "mariadb-install-db",
                    f"--defaults-file={directories.options_file}",
                    *((f"--user={SERVER_USER}",) if os.geteuid() == 0 else ()),
                    *prepared.install_arguments(new, script, administrator()),
                ],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                env={"PATH": starting.PATH},
            )
        except FileNotFoundError as error:
            raise OSError("MariaDB is not installed: build the image anew") from error
        finally:
            script.unlink(missing_ok=True)
        if answer.returncode != 0:
            words = "\n".join((answer.stdout + answer.stderr).splitlines()[-10:])
            raise OSError(words)

    @property
    def monitor_password(self) -> str:
        """Of the account that only looks."""
        return (self.directories.configuration / _MONITOR_PASSWORD).read_text()

    # -- running ------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether its program runs; it may be on its way."""
        return NAME in self._supervisor.names() and self._supervisor.is_running(NAME)

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._supervisor.pid(NAME) if NAME in self._supervisor.names() else None

    @property
    def started(self) -> float:
        """When the server that runs was started: seconds since 1970; 0 when none runs."""
        times = starting.starts(self.directories)
        return times[-1] if times and self.is_running else 0.0

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._supervisor.log_file(NAME)

    def last_words(self, lines: int = 8) -> str:
        """Return the end of what it said."""
        return self._supervisor.tail(NAME, lines)

    def start(self, bootstrap: bool = False, join: bool = False) -> None:
        """Have it run, and be kept running; one that runs is left alone.

        Args:
            bootstrap: It begins a cluster; only for one that does not run.
            join: There is a cluster, which it joins: it shall not look for its old one.
        """
        self._make_directories()
        self._define()
        if self.is_running:
            return
        starting.forget_starts(self.directories)
        if join:
            (self.directories.data / "gvwstate.dat").unlink(missing_ok=True)
        if bootstrap:
            starting.ask_for_bootstrap(self.directories)
        else:
            starting.forget_bootstrap(self.directories)
        self._supervisor.start(NAME)

    def stop(self) -> None:
        """End it in order, and keep it so; one that does not run is fine."""
        starting.forget_bootstrap(self.directories)
        if NAME not in self._supervisor.names():
            return
        self._supervisor.stop(NAME, wait=0)
        begun = time.monotonic()
        while self.is_running and time.monotonic() < begun + _WAITING_TIMEOUT:
            time.sleep(0.05)
        if self.is_running and not self.directories.socket.exists():
            # It waits for others, or for data, and hears nothing.  Nothing of it could be lost.
            self._supervisor.signal(NAME, "KILL")
        self._supervisor.stop(NAME, wait=_STOP_TIMEOUT + 10)
        # Nobody shall use the volume any more.
        end_transfers(self.directories.data)

    def abandon_copy(self) -> None:
        """Have a server that has only half a copy begin anew; nothing of it could be lost."""
        if self.is_running and not self.has_data and not self.directories.socket.exists():
            self._supervisor.signal(NAME, "KILL")

    # -- how it is done -----------------------------------------------------------------------

    def _define(self, new_password: bool = False) -> bool:
        """Say what is to run, and have the health told; return whether anything is new."""
        directories = self.directories
        changed = self._supervisor.define(
            NAME,
            [
                *(sys.executable, "-P", "-m", "conpaas_mysql.starting"),
                *(str(directories.root), str(directories.volume)),
            ],
            down=True,
            kill_after=_STOP_TIMEOUT,
            whole=True,
        )
        new_health = self._supervisor.define(
            HEALTH,
            [
                *(sys.executable, "-P", "-m", "conpaas_mysql.health"),
                str(directories.socket),
                str(directories.configuration / _MONITOR_PASSWORD),
                *(self._listen, str(HEALTH_PORT), str(directories.data)),
            ],
        )
        if not self._supervisor.is_running(HEALTH):
            self._supervisor.start(HEALTH)
        elif new_health or new_password:
            self._supervisor.restart(HEALTH)
        return changed | new_health

    def _make_directories(self) -> None:
        try:
            self.directories.make()
        except OSError as error:
            raise AgentError(f"the database: {error}") from error

    def _write(self, path: Path, text: str) -> bool:
        """Write what only root and the server may read."""
        changed = files.write(path, text, 0o640)
        give(path, group_only=True)
        return changed

    def _change_running(self, new: Configuration, new_certificate: bool) -> bool:
        running = starting.running_configuration(self.directories)
        try:
            if new_certificate:
                reload_certificate(self.directories.socket)
            reached = change_running(self.directories.socket, running, new)
        except UnreachableError:
            return False  # it begins with the file, or is told as outdated
        if reached == running:
            return False
        starting.note_running(self.directories, reached)
        return True
