"""What the local cloud knows, kept in files so that every process sees the same.

In the cloud's directory::

    machines/<id>/   meta.json, config (lxc's), delta0 (the overlay's upper directory), logs
    volumes/<id>/    meta.json, data.img
    locks/           one file for each thing that is being changed
    boots/           an empty file with the name of the image that machines boot
    network.json     the subnet that was chosen

A machine's ``meta.json`` is written before anything else of it exists and goes after everything
else; its ``phase`` tells what a process that died was doing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from conpaas.clouds.base import DEPLOYMENT_TAG
from conpaas.errors import CloudError

#: Nothing that holds a lock may take longer than this.
LOCK_TIMEOUT = 120.0
_BOOTS = "boots"


@dataclass(frozen=True)
class MachineRecord:
    """A machine as its ``meta.json`` has it; ``created`` in seconds since 1970."""

    id: str
    name: str
    address: str
    size: str
    memory: int
    cpus: int
    image: str
    created: float
    phase: Literal["creating", "ready", "destroying"] = "creating"
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> str | None:
        """Whose machine it is."""
        return self.tags.get(DEPLOYMENT_TAG)


@dataclass(frozen=True)
class VolumeRecord:
    """A volume as its ``meta.json`` has it; ``size`` in MB, ``machine`` the id it belongs to."""

    id: str
    name: str
    size: int
    created: float
    machine: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> str | None:
        """Whose volume it is."""
        return self.tags.get(DEPLOYMENT_TAG)

    @property
    def path(self) -> str:
        """Where the volume is mounted in its machine."""
        return f"/media/{self.id}"


class Store:
    """The files of one local cloud."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.machines_directory = self.directory / "machines"
        self.volumes_directory = self.directory / "volumes"
        self._locks = self.directory / "locks"

    def make(self) -> None:
        """Make the directories; what machines hold is for root's eyes only."""
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        for directory in (self.machines_directory, self.volumes_directory, self._locks):
            directory.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        """Remove everything of ours, and the directory when nothing else is in it."""
        for name in ("machines", "volumes", "locks", _BOOTS, "network.json"):
            _remove(self.directory / name)
        with contextlib.suppress(OSError):
            self.directory.rmdir()

    # --- locks

    @contextlib.contextmanager
    def lock(self, name: str, timeout: float = LOCK_TIMEOUT) -> Iterator[int]:
        """Hold a lock between threads and processes; the kernel frees it when its holder dies.

        Gives the lock's file descriptor: a child that inherits it keeps the lock.

        Raises:
            CloudError: It was not free in time.
        """
        deadline = time.monotonic() + timeout
        while (descriptor := self._try_lock(name)) is None:
            if time.monotonic() > deadline:
                raise CloudError(f"{name} was being changed for more than {timeout:.0f} s")
            time.sleep(0.005)
        try:
            yield descriptor
        finally:
            _release(descriptor)

    @contextlib.contextmanager
    def lock_if_free(self, name: str) -> Iterator[bool]:
        """Hold a lock if nobody else does; gives whether it is held."""
        descriptor = self._try_lock(name)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                _release(descriptor)

    def remove_lock(self, name: str) -> None:
        """Remove the file of a lock that is held, as what it protects is gone."""
        (self._locks / name).unlink(missing_ok=True)

    def lock_names(self) -> list[str]:
        """Return the names of the locks that have a file."""
        return _names(self._locks)

    def _try_lock(self, name: str) -> int | None:
        path = self._locks / name
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            self.make()
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    # --- machines

    def machine_directory(self, machine_id: str) -> Path:
        """Return the directory of a machine."""
        return self.machines_directory / machine_id

    def machine_ids(self) -> list[str]:
        """Return the ids of all machines, half-made ones too."""
        return _names(self.machines_directory)

    def machine(self, machine_id: str) -> MachineRecord | None:
        """Return what is known of a machine, None when there is none."""
        values = _read(self.machine_directory(machine_id) / "meta.json")
        return None if values is None else MachineRecord(**values)

    def machines(self) -> list[MachineRecord]:
        """Return what is known of all machines."""
        return [found for name in self.machine_ids() if (found := self.machine(name))]

    def save_machine(self, record: MachineRecord) -> MachineRecord:
        """Write what is known of a machine, whole or not at all."""
        directory = self.machine_directory(record.id)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        whole = record.phase == "ready"
        write(directory / "meta.json", json.dumps(dataclasses.asdict(record)), sync=whole)
        return record

    def remove_machine(self, machine_id: str) -> None:
        """Remove the files of a machine; ``meta.json`` goes last."""
        directory = self.machine_directory(machine_id)
        for name in _names(directory):
            if name != "meta.json":
                _remove(directory / name)
        _remove(directory)

    # --- volumes

    def volume_ids(self) -> list[str]:
        """Return the ids of all volumes."""
        return [name for name in _names(self.volumes_directory) if not name.startswith(".")]

    def volume(self, volume_id: str) -> VolumeRecord | None:
        """Return what is known of a volume, None when there is none."""
        values = _read(self.volumes_directory / volume_id / "meta.json")
        return None if values is None else VolumeRecord(**values)

    def volumes(self) -> list[VolumeRecord]:
        """Return what is known of all volumes."""
        return [found for name in self.volume_ids() if (found := self.volume(name))]

    def save_volume(self, record: VolumeRecord, directory: Path | None = None) -> VolumeRecord:
        """Write what is known of a volume, whole or not at all."""
        directory = directory or self.volumes_directory / record.id
        write(directory / "meta.json", json.dumps(dataclasses.asdict(record)), sync=True)
        return record

    def volume_file(self, volume_id: str) -> Path:
        """Return the file with a volume's data."""
        return self.volumes_directory / volume_id / "data.img"

    # --- the image

    def boots(self, image: str) -> None:
        """Note which image machines boot from now on: whoever removes old ones leaves it."""
        directory = self.directory / _BOOTS
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / image).touch()
        for old in _names(directory):
            if old != image:
                (directory / old).unlink(missing_ok=True)

    def images(self) -> set[str]:
        """Return the images that machines lie over, running or not, or boot from now on."""
        # Machines of another version are machines all the same.
        known = (_read(path) or {} for path in self.machines_directory.glob("*/meta.json"))
        return {*_names(self.directory / _BOOTS), *(str(one.get("image")) for one in known)}

    # --- the network

    @property
    def network(self) -> dict[str, Any]:
        """The choices of the network: ``subnet`` and the ``last`` address given."""
        return _read(self.directory / "network.json") or {}

    @network.setter
    def network(self, values: Mapping[str, Any]) -> None:
        write(self.directory / "network.json", json.dumps(values))


def write(path: Path, text: str, sync: bool = False) -> None:
    """Replace a file so that a reader, or whoever comes after a crash, finds the old or the new.

    Args:
        path: The file; root's alone.
        text: What it holds.
        sync: Also after a power cut, for what cannot be made anew.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    temporary.replace(path)


def _release(descriptor: int) -> None:
    # Not only closed: a child that was forked meanwhile may hold a copy for a moment.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise CloudError(f"{path} is damaged ({error}): restore or remove it") from error
    return values


def _names(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(directory))
    return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # Another process may be clearing the same leftovers.
        shutil.rmtree(path, onerror=_unless_gone)
    else:
        path.unlink(missing_ok=True)


def _unless_gone(function: Any, path: str, info: Any) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]
