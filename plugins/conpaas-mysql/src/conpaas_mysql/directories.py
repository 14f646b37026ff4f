"""Where the database's files lie on a node."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

#: Whom the server runs as.
SERVER_USER = "mysql"


@dataclass(frozen=True)
class Directories:
    """The directories of one database.

    Args:
        root: ``/``, or what stands for it.
        volume: Where the volume of its data is mounted.
    """

    root: Path
    volume: Path

    @property
    def data(self) -> Path:
        """What the server keeps."""
        return self.volume / "data"

    @property
    def temporary(self) -> Path:
        """Where the server sorts and alters what does not fit into memory."""
        return self.volume / "tmp"

    @property
    def configuration(self) -> Path:
        """Configuration and certificates: of root, readable by the server."""
        return self.root / "etc/conpaas-mysql"

    @property
    def options_file(self) -> Path:
        """The server's configuration file."""
        return self.configuration / "mariadb.cnf"

    @property
    def accounts_file(self) -> Path:
        """SQL that the server carries out at each start: our own accounts, without passwords."""
        return self.configuration / "accounts.sql"

    @property
    def run(self) -> Path:
        """What is forgotten when the machine is started again."""
        return self.root / "run/conpaas-mysql"

    @property
    def server_run(self) -> Path:
        """The part of it that the server writes to."""
        return self.run / "server"

    @property
    def socket(self) -> Path:
        """Where this machine's programs connect to the server."""
        return self.server_run / "mysqld.sock"

    @property
    def cache(self) -> Path:
        """What the server keeps for members that were away, on the machine's own disk."""
        return self.root / "var/lib/conpaas-mysql/cache"

    @property
    def reserve(self) -> Path:
        """Room on the volume that the server needs to start when the volume is full."""
        return self.volume / "reserve"

    @property
    def prepared(self) -> Path:
        """First data of a database, which came with the image of the machine."""
        return self.root / "var/lib/conpaas-mysql/prepared"

    @property
    def files(self) -> Path:
        """The only directory that SQL may read and write files in: empty, and not the server's."""
        return self.root / "var/lib/conpaas-mysql/files"

    def make(self) -> None:
        """Make all but the data.

        Raises:
            FileNotFoundError: The volume is not mounted.
        """
        if not self.volume.is_dir():
            raise FileNotFoundError(f"the volume {self.volume.name} is not mounted")
        for path, owner, mode in (
            (self.configuration, None, 0o755),
            (self.run, None, 0o755),
            (self.files, None, 0o755),
            (self.server_run, SERVER_USER, 0o755),
            (self.cache, SERVER_USER, 0o700),
            (self.temporary, SERVER_USER, 0o700),
        ):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
            if owner is not None:
                give(path)


def give(path: Path, group_only: bool = False) -> None:
    """Give a file or directory to the server, if this process may give things away."""
    if os.geteuid() == 0:
        shutil.chown(path, None if group_only else SERVER_USER, SERVER_USER)


def administrator() -> str:
    """Return the system user who administers the server, over its socket: that of this process."""
    return pwd.getpwuid(os.geteuid()).pw_name


def bytes_in(directory: Path) -> int:
    """Return how many bytes are in a directory and those below it."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue  # it went meanwhile
    return total
