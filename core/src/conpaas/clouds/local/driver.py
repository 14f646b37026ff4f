"""A libcloud driver for machines on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libcloud.compute.base import (
    Node,
    NodeDriver,
    NodeImage,
    NodeLocation,
    NodeSize,
    StorageVolume,
)
from libcloud.compute.types import NodeState, StorageVolumeState

from conpaas.clouds.base import DEPLOYMENT_TAG
from conpaas.clouds.local.instances import Instances
from conpaas.clouds.local.network import Network
from conpaas.clouds.local.store import MachineRecord, Store, VolumeRecord
from conpaas.clouds.local.volumes import Volumes
from conpaas.errors import CloudError

#: What the names of images that can boot begin with.
IMAGE_PREFIX = "conpaas-"
_MACHINES = "machines"
_SHARED_LOCKS = {_MACHINES, "network", "volumes"}


@dataclasses.dataclass(frozen=True)
class LocalSize:
    """A size of machines: ``memory`` in MB, ``cpus`` as many cores as it may keep busy."""

    memory: int
    cpus: int = 1


class LocalNodeDriver(NodeDriver):
    """Machines as LXC instances, volumes as files, all of it in one directory.

    It keeps nothing in memory: several of them, in several processes, work on the same machines.
    Volumes are counted in MB, arrive formatted, and are "attached" at a path where they are
    mounted, running or at the next boot.
    """

    name = "Local"
    type = "local"
    connectionCls = None  # type: ignore[assignment]  # noqa: N815 (libcloud's; there is none)
    features = {"create_node": []}  # noqa: RUF012 (libcloud's)

    def __init__(
        self,
        directory: str,
        images: str,
        bridge: str,
        subnet: str,
        prefix: str,
        init: str,
        sizes: Mapping[str, LocalSize],
    ) -> None:
        # libcloud's own constructor only prepares a connection, and there is none.
        self.store = Store(directory)
        self.network = Network(self.store, bridge, subnet)
        self.instances = Instances(self.store, self.network, Path(images), init)
        self.volumes = Volumes(self.store, prefix)
        self._images = Path(images)
        self._prefix = prefix
        self._sizes = sizes

    # --- what there is to choose from

    def list_locations(self) -> list[NodeLocation]:
        """Return this machine."""
        return [NodeLocation("local", "this machine", "", self)]

    def list_images(self, location: NodeLocation | None = None) -> list[NodeImage]:
        """Return the images that were built, oldest first."""
        return [NodeImage(name, name, self) for name in image_names(self._images)]

    def list_sizes(self, location: NodeLocation | None = None) -> list[NodeSize]:
        """Return the sizes of the settings."""
        return [
            NodeSize(name, name, size.memory, 0, 0, 0.0, self, extra={"cpus": size.cpus})
            for name, size in self._sizes.items()
        ]

    # --- machines

    def list_nodes(self) -> list[Node]:
        """Return all machines, after a sweep of what died with its maker."""
        self.sweep()
        return [
            self._node(record) for record in self.store.machines() if record.phase != "destroying"
        ]

    def create_node(
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        location: NodeLocation | None = None,
        auth: Any = None,
        *,
        ex_userdata: str = "",
        ex_metadata: Mapping[str, str] | None = None,
        ex_address: str | None = None,
    ) -> Node:
        """Make and boot a machine; one with this name and these tags is returned instead.

        It gets the address ``ex_address`` when that is one of the subnet and no machine has it.
        """
        if not (self._images / image.id / "etc").is_dir():
            raise CloudError(f"there is no image {image.id!r} in {self._images}: build it")
        tags = dict(ex_metadata or {})
        self.network.up()
        while True:
            with contextlib.ExitStack() as own:
                with self.store.lock(_MACHINES):
                    found = self._named(name, tags)
                    if found is None:
                        # Taken before the lock on machines goes: nobody ever sees it free.
                        machine_id = self._prefix + uuid.uuid4().hex[:8]
                        lock = own.enter_context(self.store.lock(machine_id))
                        record = self._reserve(machine_id, name, size, image.id, tags, ex_address)
                if found is None:
                    return self._node(self._make(record, ex_userdata, lock))
            with self.store.lock(found.id):
                made = self.store.machine(found.id)
            if made is not None and made.phase == "ready":
                return self._node(made)
            self.sweep()

    def start_node(self, node: Node) -> bool:
        """Boot a machine that is stopped, with its volumes."""
        self.network.up()
        machine_id = str(node.id)
        with self.store.lock(machine_id) as lock:
            record = self._known(machine_id)
            if self.instances.init(machine_id) is None:
                self._start(record, lock)
        return True

    def stop_node(self, node: Node, ex_grace: float = 10.0) -> bool:
        """Stop a machine; its disk and volumes stay.

        Args:
            node: Which.
            ex_grace: Seconds that it has for ending by itself.
        """
        machine_id = str(node.id)
        with self.store.lock(machine_id):
            self._known(machine_id)
            self.instances.stop(machine_id, ex_grace)
        return True

    def reboot_node(self, node: Node) -> bool:
        """Stop and boot a machine."""
        return self.stop_node(node) and self.start_node(node)

    def destroy_node(self, node: Node) -> bool:
        """End a machine and remove it; its volumes are kept."""
        machine_id = str(node.id)
        if machine_id in self.store.machine_ids():
            with self.store.lock(machine_id):
                self._destroy(machine_id)
        return True

    # --- volumes

    def list_volumes(self) -> list[StorageVolume]:
        """Return all volumes."""
        self.sweep()
        return [self._volume(record) for record in self.store.volumes()]

    def create_volume(
        self,
        size: int,
        name: str,
        location: NodeLocation | None = None,
        snapshot: Any = None,
        *,
        ex_metadata: Mapping[str, str] | None = None,
    ) -> StorageVolume:
        """Make a volume of ``size`` MB; one of this name and these tags is returned instead."""
        self.store.make()
        return self._volume(self.volumes.create(name, size, dict(ex_metadata or {})))

    def attach_volume(self, node: Node, volume: StorageVolume, device: str | None = None) -> bool:
        """Mount a volume in a machine, now if it runs and at each boot; the path is its own."""
        machine_id = str(node.id)
        with self.store.lock(machine_id):
            self._known(machine_id)
            self.volumes.attach(volume.id, machine_id, self.instances.init(machine_id))
        return True

    def detach_volume(self, volume: StorageVolume) -> bool:
        """Unmount a volume and take it from its machine."""
        record = self.store.volume(volume.id)
        if record is None or record.machine is None:
            return True
        with self.store.lock(record.machine):
            self.volumes.detach(record.id, self.instances.init(record.machine))
        return True

    def destroy_volume(self, volume: StorageVolume) -> bool:
        """Remove a volume that is not attached, and its data."""
        self.volumes.destroy(volume.id)
        return True

    def ex_grow_volume(self, volume: StorageVolume, size: int) -> bool:
        """Make a volume at least ``size`` MB large, with its file system."""
        record = self.store.volume(volume.id)
        if record is None or record.machine is None:
            self.volumes.grow(volume.id, size, None)
            return True
        with self.store.lock(record.machine):
            self.volumes.grow(volume.id, size, self.instances.init(record.machine))
        return True

    # --- what crashes leave

    def sweep(self) -> None:
        """Remove what was being made or destroyed by a process that is no more."""
        machines = set(self.store.machine_ids())
        locks = set(self.store.lock_names()) - _SHARED_LOCKS
        for machine_id in sorted(machines | locks):
            if self._is_whole(machine_id):
                continue
            with self.store.lock_if_free(machine_id) as free:
                # It may have been completed or removed since we looked.
                if free and not self._is_whole(machine_id):
                    self._destroy(machine_id)
        self.volumes.sweep()

    # --- helpers

    def _named(self, name: str, tags: Mapping[str, str]) -> MachineRecord | None:
        for record in self.store.machines():
            same = (record.name, record.deployment) == (name, tags.get(DEPLOYMENT_TAG))
            if same and record.phase != "destroying":
                return record
        return None

    def _reserve(
        self,
        machine_id: str,
        name: str,
        size: NodeSize,
        image: str,
        tags: Mapping[str, str],
        wanted: str | None,
    ) -> MachineRecord:
        taken = {machine.address for machine in self.store.machines()}
        address = self.network.free_address(taken, wanted)
        return self.store.save_machine(
            MachineRecord(
                id=machine_id,
                name=name,
                address=address,
                size=size.name,
                memory=int(size.ram),
                cpus=size.extra["cpus"],
                image=image,
                created=time.time(),
                tags=tags,
            )
        )

    def _make(self, record: MachineRecord, user_data: str, lock: int) -> MachineRecord:
        try:
            self.instances.prepare(record, user_data)
            self._start(record, lock)
            return self.store.save_machine(dataclasses.replace(record, phase="ready"))
        except BaseException:
            self._destroy(record.id)
            raise

    def _start(self, record: MachineRecord, lock: int) -> None:
        with self.volumes.devices(record.id) as mounts:
            self.instances.start(record, mounts, lock)

    def _destroy(self, machine_id: str) -> None:
        record = self.store.machine(machine_id)
        if record is not None:
            self.store.save_machine(dataclasses.replace(record, phase="destroying"))
        self.instances.kill(machine_id)
        self.volumes.release(machine_id)
        self.store.remove_machine(machine_id)
        self.store.remove_lock(machine_id)

    def _is_whole(self, machine_id: str) -> bool:
        record = self.store.machine(machine_id)
        return record is not None and record.phase == "ready"

    def _known(self, machine_id: str) -> MachineRecord:
        record = self.store.machine(machine_id)
        if record is None or record.phase != "ready":
            raise CloudError(f"there is no machine {machine_id}")
        return record

    def _node(self, record: MachineRecord) -> Node:
        if record.phase == "creating":
            state = NodeState.PENDING
        else:
            state = NodeState.RUNNING if self.instances.init(record.id) else NodeState.STOPPED
        return Node(
            record.id,
            record.name,
            state,
            [record.address],
            [record.address],
            self,
            extra={"tags": record.tags},
            created_at=datetime.datetime.fromtimestamp(record.created, datetime.UTC),
        )

    def _volume(self, record: VolumeRecord) -> StorageVolume:
        return StorageVolume(
            record.id,
            record.name,
            record.size,
            self,
            StorageVolumeState.INUSE if record.machine else StorageVolumeState.AVAILABLE,
            extra={
                "instance_id": record.machine,
                "device": record.path if record.machine else None,
                "tags": record.tags,
                "created": record.created,
            },
        )


def image_names(images: Path) -> list[str]:
    """Return the names of the images in a directory, oldest first."""
    found = [path for path in images.glob(f"{IMAGE_PREFIX}*") if (path / "etc").is_dir()]
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime)]
