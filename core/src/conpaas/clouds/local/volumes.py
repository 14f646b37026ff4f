"""The volumes of a local cloud: files with an ext4 in them, mounted inside machines."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from conpaas.clouds.base import DEPLOYMENT_TAG
from conpaas.clouds.local import mount
from conpaas.clouds.local.commands import run
from conpaas.clouds.local.loop import grow_mounted, loop_device, wait_until_unused
from conpaas.clouds.local.processes import Process
from conpaas.clouds.local.store import Store, VolumeRecord
from conpaas.errors import CloudError

_LOCK = "volumes"
_SMALLEST = 4
_MENDED = (0, 1)  #: e2fsck's exit codes when all is well, and when it is well again


class Volumes:
    """Makes, mounts and removes volumes.

    What belongs to which machine is written down before it is mounted and after it is unmounted:
    a caller that dies in between leaves what the same call, repeated, completes.  Where both are
    needed, a machine's lock is taken before the one on volumes.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def create(self, name: str, size: int, tags: Mapping[str, str]) -> VolumeRecord:
        """Make a formatted volume of ``size`` MB; it takes space on the disk as it fills."""
        with self._store.lock(_LOCK):
            for record in self._store.volumes():
                if (record.name, record.deployment) == (name, tags.get(DEPLOYMENT_TAG)):
                    return record
            volume_id = f"{self._prefix}vol-{uuid.uuid4().hex[:8]}"
            size = max(size, _SMALLEST)
            record = VolumeRecord(volume_id, name, size, time.time(), tags=dict(tags))
            unfinished = self._store.volumes_directory / f".{volume_id}"
            unfinished.mkdir(mode=0o700)
            data = unfinished / "data.img"
            try:
                with open(data, "xb") as file:
                    file.truncate(size << 20)
                lazily = "lazy_itable_init=1,lazy_journal_init=1"
                run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazily, str(data), timeout=300.0)
                self._store.save_volume(record, unfinished)
                unfinished.rename(self._store.volumes_directory / volume_id)
            except BaseException:
                shutil.rmtree(unfinished)
                raise
            return record

    @contextlib.contextmanager
    def devices(self, machine_id: str) -> Iterator[dict[str, str]]:
        """Give block devices by path, of all volumes that belong to a machine that boots."""
        with self._store.lock(_LOCK), contextlib.ExitStack() as stack:
            yield {
                volume.path: stack.enter_context(loop_device(self._store.volume_file(volume.id)))
                for volume in self._store.volumes()
                if volume.machine == machine_id
            }

    def attach(self, volume_id: str, machine_id: str, init: Process | None) -> None:
        """Give a volume to a machine; when it runs, mount it there at once."""
        with self._store.lock(_LOCK):
            before = self._known(volume_id)
            if before.machine not in (None, machine_id):
                raise CloudError(
                    f"the volume {before.name} is attached to {before.machine}: detach it first"
                )
            self._store.save_volume(dataclasses.replace(before, machine=machine_id))
            if init is None or is_mounted(before.path, init):
                return
            try:
                with loop_device(self._store.volume_file(volume_id)) as device:
                    _mount("attach", device, before.path, str(init.pid))
            except BaseException:
                self._store.save_volume(dataclasses.replace(before, machine=None))
                raise

    def detach(self, volume_id: str, init: Process | None) -> None:
        """Take a volume from its machine.

        Raises:
            CloudError: Something in the machine uses it.
        """
        with self._store.lock(_LOCK):
            record = self._known(volume_id)
            if init is not None:
                try:
                    _mount("detach", record.path, str(init.pid))
                except CloudError as error:
                    raise CloudError(
                        f"the volume {record.name} cannot be detached: {error.message}; "
                        "stop what uses it in the machine"
                    ) from error
            self._free(record)

    def release(self, machine_id: str) -> None:
        """Take all volumes from a machine that has ended."""
        with self._store.lock(_LOCK):
            for record in self._store.volumes():
                if record.machine == machine_id:
                    self._free(record)

    def grow(self, volume_id: str, size: int, init: Process | None) -> None:
        """Make a volume at least ``size`` MB large, with its file system.

        Args:
            volume_id: Which.
            size: In MB; a larger one is left alone.
            init: Of the machine that it belongs to, if that runs.

        Raises:
            WrongStateError: It is mounted, and can only grow when it is not.
            CloudError: It cannot be done; it is as large as it was, and can be tried again.
        """
        with self._store.lock(_LOCK):
            record = self._known(volume_id)
            file = self._store.volume_file(volume_id)
            if size <= record.size:
                return
            # The record comes last: repeated after a crash, everything is completed.
            if file.stat().st_size < size << 20:
                os.truncate(file, size << 20)
            if init is not None and is_mounted(record.path, init):
                grow_mounted(file, f"/proc/{init.pid}/root{record.path}")
            else:
                self._wait(record)
                # resize2fs wants to be sure that all is well.
                run("e2fsck", "-f", "-p", str(file), timeout=600.0, fine=_MENDED)
                run("resize2fs", str(file), timeout=600.0)
            self._store.save_volume(dataclasses.replace(record, size=size))

    def destroy(self, volume_id: str) -> None:
        """Remove a volume and its data; one that is gone is fine."""
        with self._store.lock(_LOCK):
            record = self._store.volume(volume_id)
            if record is None:
                return
            if record.machine is not None:
                raise CloudError(f"the volume {record.name} is attached to {record.machine}")
            self._wait(record)
            # Hidden first: half a volume must never be listed.
            hidden = self._store.volumes_directory / f".{volume_id}"
            (self._store.volumes_directory / volume_id).rename(hidden)
            shutil.rmtree(hidden)

    def sweep(self) -> None:
        """Remove what creations and destructions that were killed have left."""
        leftovers = list(self._store.volumes_directory.glob(".*"))
        if not leftovers:
            return
        with self._store.lock_if_free(_LOCK) as free:
            for path in leftovers if free else ():
                shutil.rmtree(path, ignore_errors=True)

    def _free(self, record: VolumeRecord) -> None:
        self._wait(record)
        self._store.save_volume(dataclasses.replace(record, machine=None))

    def _wait(self, record: VolumeRecord) -> None:
        if not wait_until_unused(self._store.volume_file(record.id), timeout=10.0):
            raise CloudError(f"the volume {record.name} is still in use: stop what uses it")

    def _known(self, volume_id: str) -> VolumeRecord:
        record = self._store.volume(volume_id)
        if record is None:
            raise CloudError(f"there is no volume {volume_id}")
        return record


def is_mounted(path: str, init: Process) -> bool:
    """Tell whether something is mounted at a path in a machine."""
    mounts = Path(f"/proc/{init.pid}/mountinfo").read_text()
    return re.search(rf"^(\S+ ){{4}}{re.escape(path)} ", mounts, re.MULTILINE) is not None


def _mount(*arguments: str) -> None:
    run(sys.executable, "-I", "-S", str(mount.__file__), *arguments, timeout=30.0)
