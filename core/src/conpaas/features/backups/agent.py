"""The agent's part of backups: keeps them on its node's volumes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from conpaas import files
from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError, NotFoundError, TooLargeError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.features.volumes.names import VolumeName
from conpaas.rpc import Download, Job, Progress, Upload, expose

_PIECE = 1 << 20
_TOLD_EVERY = 32 << 20  #: bytes

BackupFile = Annotated[
    str, "Name of the file", msgspec.Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)
]


@dataclass(frozen=True)
class KeptFile:
    """A file that is kept: its SHA-256 in hex and its size in bytes."""

    sha256: str
    size: int


class BackupAgent(VolumeAgent):
    """Keeps files on the node's volumes, each as a whole or not at all.

    Given to you:
        ``backup_path(volume, name)``: where a file is.
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._backup_lock = threading.Lock()

    def on_boot(self) -> None:
        """Remove what was coming when the agent was killed."""
        super().on_boot()
        for volume in self.list_mounted_volumes():
            files.clear_away(self._backup_directory(volume))

    def backup_path(self, volume: str, name: str) -> Path:
        """Return where a file is on a volume.

        Raises:
            NotFoundError: The volume is not mounted here, or has no such file.
        """
        path = self._there(volume) / name
        if not path.is_file():
            raise NotFoundError(f"there is no backup {name} on the volume {volume}")
        return path

    @expose()
    def keep_backup(
        self,
        volume: VolumeName,
        name: BackupFile,
        content: Annotated[Upload, "What it holds"],
        limit: Annotated[int, "Bytes that it may have"],
    ) -> KeptFile:
        """Keep a file on a volume, in the place of one of that name.

        Raises:
            TooLargeError: It has more than ``limit`` bytes, or the volume is full.
        """
        directory = self._there(volume)
        try:
            with files.receive(content.stream, directory, limit) as received:
                received.keep(directory / name)
        except TooLargeError as error:
            raise TooLargeError(f"the volume {volume}: {error}") from error
        self.log.info("the backup %s is on the volume %s", name, volume)
        return KeptFile(received.digest, received.size)

    @expose(reads=True, hidden=True)
    def fetch_backup(self, volume: VolumeName, name: BackupFile) -> Download:
        """Return a file of a volume."""
        path = self.backup_path(volume, name)
        return Download(_pieces(path), name, size=path.stat().st_size)

    @expose(gives_way=True)
    def measure_backup(self, volume: VolumeName, name: BackupFile) -> Job[KeptFile]:
        """Read a file of a volume from its beginning to its end, and return what it is."""
        path = self.backup_path(volume, name)
        yield Progress(0, f"reading {name}")
        digest, done, whole = hashlib.sha256(), 0, path.stat().st_size
        for piece in _pieces(path):
            digest.update(piece)
            done += len(piece)
            if done % _TOLD_EVERY == 0:
                yield Progress(100 * done // max(done, whole), f"reading {name}")
        return KeptFile(digest.hexdigest(), done)

    @expose()
    def remove_backup(self, volume: VolumeName, name: BackupFile) -> None:
        """Remove a file of a volume; one that is gone is fine."""
        (self._there(volume) / name).unlink(missing_ok=True)

    def _backup_directory(self, volume: str) -> Path:
        return self.volume_path(volume) / "backups"

    def _there(self, volume: str) -> Path:
        """Return the directory of backups on a volume, which must be mounted: never the disk."""
        if volume not in self.list_mounted_volumes():
            raise NotFoundError(f"the volume {volume} is not mounted on {self.place.node}")
        return self._backup_directory(volume)


def _pieces(path: Path) -> Iterator[bytes]:
    # Opened when the first piece is asked for: some who ask for a file go before they read it.
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_PIECE), b"")
    except OSError as error:
        raise AgentError(f"{path} cannot be read: {error.strerror or error}") from error
