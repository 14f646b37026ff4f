"""Any provider that libcloud drives, as a kind of cloud."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize, StorageVolume
from libcloud.compute.types import NodeState

from conpaas.clouds.base import (
    DEPLOYMENT_TAG,
    Cloud,
    CloudMachine,
    CloudVolume,
    MachineState,
    Size,
)
from conpaas.clouds.libcloud_calls import Calls
from conpaas.errors import CloudError, InvalidError
from conpaas.nearest import did_you_mean

_STATES = {
    NodeState.RUNNING: MachineState.RUNNING,
    NodeState.STOPPED: MachineState.STOPPED,
    NodeState.STOPPING: MachineState.STOPPED,
    NodeState.SUSPENDED: MachineState.STOPPED,
    NodeState.PAUSED: MachineState.STOPPED,
    NodeState.ERROR: MachineState.FAILED,
    NodeState.UNKNOWN: MachineState.UNKNOWN,
}

T = TypeVar("T")


class LibcloudCloud(Cloud):
    """A cloud behind a libcloud ``NodeDriver``.

    Calls that only look, and those that end in the same state when repeated, are tried again
    after a lost answer or "too many requests".  A creation is not: when its answer is lost, what
    it made is looked for by name and taken for the answer.  Whatever a provider raises arrives
    as a :class:`~conpaas.errors.CloudError` that quotes it.

    Must define:
        ``kind``, ``Settings`` (with ``image`` and ``size``), ``make_driver`` (give it a time-out).

    May override:
        ``image``, ``machine_options``, ``address_options``, ``volume_options``, ``attachment``,
        ``device``, ``volume_unit``, ``attempts``, ``pause``.

    Given to you:
        ``self.driver`` (one for each thread), ``self.call``.
    """

    #: How many MB the provider means by a volume of size 1.
    volume_unit: ClassVar[int] = 1024
    #: How often a call is tried that may be repeated, and how often a lost creation is looked for.
    attempts: ClassVar[int] = 3
    #: Seconds between two attempts; doubled each time.
    pause: ClassVar[float] = 1.0

    def __init__(self, name: str, settings: Any, deployment: str) -> None:
        super().__init__(name, settings, deployment)
        self._local = threading.local()
        self._calls = Calls(name, self.attempts, self.pause)

    @abc.abstractmethod
    def make_driver(self) -> NodeDriver:
        """Return a new driver, made from the settings; called once in each thread."""

    def image(self) -> str:
        """Return the id of the image that machines boot from."""
        return str(self.settings.image)

    def machine_options(self, user_data: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return the driver's own arguments of ``create_node``."""
        return {"ex_userdata": user_data, "ex_metadata": dict(tags)}

    def address_options(self, address: str) -> dict[str, Any]:
        """Return the driver's own arguments of ``create_node`` that ask for an address.

        Most drivers have none: a cloud that has some sets ``keeps_addresses`` too.
        """
        return {}

    def volume_options(self, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return the driver's own arguments of ``create_volume``."""
        return {"ex_metadata": dict(tags)}

    def attachment(self, volume: StorageVolume) -> tuple[str | None, str | None]:
        """Return (machine id, device or path in the machine) of a volume, None where not told."""
        extra = volume.extra or {}
        return extra.get("instance_id"), extra.get("device")

    def device(self, volume: CloudVolume) -> str | None:
        """Return the device or path to ask for; None lets the provider choose."""
        return None

    # --- machines

    def create_machine(
        self,
        name: str,
        user_data: str,
        tags: Mapping[str, str],
        size: str | None = None,
        address: str | None = None,
    ) -> CloudMachine:
        """Create a machine, or return the one of this name."""
        chosen = self._size(size or self.settings.size)
        if earlier := self.find_machine(name):
            return earlier
        image = self.image()
        options = self.machine_options(user_data, {**tags, DEPLOYMENT_TAG: self.deployment})
        if address is not None:
            options |= self.address_options(address)
        try:
            return self._calls.create(
                f"create the machine {name}",
                lambda: self._machine(
                    self.driver.create_node(
                        name=name,
                        size=chosen,
                        image=NodeImage(image, image, self.driver),
                        **options,
                    )
                ),
                lambda: self.find_machine(name),
            )
        except CloudError:
            self._remove_failed(name)
            raise

    def list_machines(self) -> list[CloudMachine]:
        """Return the deployment's machines."""
        machines = [self._machine(node) for node in self._nodes()]
        return sorted(machines, key=lambda machine: machine.name)

    def destroy_machine(self, machine_id: str) -> None:
        """Destroy a machine of the deployment; its volumes are detached first."""
        if self._node(machine_id) is None:
            return
        self._before_destroy(machine_id)

        def destroy() -> None:
            node = self._node(machine_id)
            if node is not None:
                self.driver.destroy_node(node)

        self.call(f"destroy the machine {machine_id}", destroy)

    def start_machine(self, machine_id: str) -> None:
        """Boot a machine that is stopped."""
        node = self._known_node(machine_id)
        if _STATES.get(node.state) is MachineState.STOPPED:
            self.call(f"start the machine {machine_id}", lambda: self.driver.start_node(node))

    def sizes(self) -> list[Size]:
        """Return the driver's sizes, smallest first."""
        found = [
            Size(size.name, int(size.ram), int(size.extra.get("cpus", 1)), int(size.disk) * 1024)
            for size in self._sizes()
        ]
        return sorted(found, key=lambda size: (size.memory, size.cpus, size.name))

    # --- volumes

    def create_volume(self, name: str, size: int, tags: Mapping[str, str]) -> CloudVolume:
        """Create a volume, or return the one of this name."""
        if earlier := self._volume_named(name):
            return earlier
        options = self.volume_options({**tags, DEPLOYMENT_TAG: self.deployment})
        units = max(1, math.ceil(size / self.volume_unit))
        return self._calls.create(
            f"create the volume {name}",
            lambda: self._volume(self.driver.create_volume(units, name, **options)),
            lambda: self._volume_named(name),
        )

    def list_volumes(self) -> list[CloudVolume]:
        """Return the deployment's volumes."""
        volumes = [self._volume(volume) for volume in self._storage_volumes()]
        return sorted(volumes, key=lambda volume: volume.name)

    def attach_volume(self, volume_id: str, machine_id: str) -> str:
        """Attach a volume and return the path of its device or mount in the machine."""
        node, storage = self._known_node(machine_id), self._known_volume(volume_id)
        volume = self._volume(storage)
        if volume.machine not in (None, machine_id):
            raise CloudError(
                f"the volume {volume.name} is attached to {volume.machine}: detach it first"
            )
        if volume.machine is None:
            self.call(
                f"attach the volume {volume.name}",
                lambda: self.driver.attach_volume(node, storage, device=self.device(volume)),
            )
            volume = self._volume(self._known_volume(volume_id))
        if volume.device is None:
            raise CloudError(f"the cloud {self.name} does not say where {volume.name} is attached")
        return volume.device

    def detach_volume(self, volume_id: str) -> None:
        """Detach a volume."""
        storage = self._storage_volume(volume_id)
        if storage is not None and self.attachment(storage)[0] is not None:
            self.call(
                f"detach the volume {storage.name}", lambda: self.driver.detach_volume(storage)
            )

    def destroy_volume(self, volume_id: str) -> None:
        """Destroy a volume that is not attached."""
        storage = self._storage_volume(volume_id)
        if storage is None:
            return
        if machine := self.attachment(storage)[0]:
            raise CloudError(
                f"the volume {storage.name} is attached to {machine}: detach it first"
            )
        self.call(
            f"destroy the volume {storage.name}", lambda: self.driver.destroy_volume(storage)
        )

    # --- given to subclasses

    @property
    def driver(self) -> Any:
        """The driver of this thread: libcloud's connections must not be shared."""
        if not hasattr(self._local, "driver"):
            self._local.driver = self.make_driver()
        return self._local.driver

    def call(self, what: str, function: Callable[[], T]) -> T:
        """Ask the provider something that may be repeated.

        Raises:
            CloudError: It refused, or did not answer after some attempts.
        """
        return self._calls.repeat(what, function)

    # --- helpers

    def _remove_failed(self, name: str) -> None:
        # OpenStack, for one, keeps a refused machine in the state ERROR.
        made = self.find_machine(name)
        if made is not None and made.state is MachineState.FAILED:
            self.destroy_machine(made.id)

    def _before_destroy(self, machine_id: str) -> None:
        for volume in self.list_volumes():
            if volume.machine == machine_id:
                self.detach_volume(volume.id)

    def _nodes(self) -> list[Node]:
        nodes = self.call("list its machines", lambda: self.driver.list_nodes())
        return [
            node
            for node in nodes
            if _tags(node).get(DEPLOYMENT_TAG) == self.deployment
            and node.state != NodeState.TERMINATED
        ]

    def _node(self, machine_id: str) -> Node | None:
        return next((node for node in self._nodes() if node.id == machine_id), None)

    def _known_node(self, machine_id: str) -> Node:
        node = self._node(machine_id)
        if node is None:
            raise CloudError(f"the cloud {self.name} has no machine {machine_id}")
        return node

    def _machine(self, node: Node) -> CloudMachine:
        public, private = list(node.public_ips), list(node.private_ips)
        return CloudMachine(
            id=str(node.id),
            name=node.name,
            state=_STATES.get(node.state, MachineState.PENDING),
            address=next(iter(public + private), None),
            private_address=next(iter(private), None),
            tags=_tags(node),
            created=node.created_at.timestamp() if node.created_at else 0.0,
        )

    def _storage_volumes(self) -> list[StorageVolume]:
        volumes = self.call("list its volumes", lambda: self.driver.list_volumes())
        return [v for v in volumes if _tags(v).get(DEPLOYMENT_TAG) == self.deployment]

    def _storage_volume(self, volume_id: str) -> StorageVolume | None:
        return next((v for v in self._storage_volumes() if v.id == volume_id), None)

    def _known_volume(self, volume_id: str) -> StorageVolume:
        volume = self._storage_volume(volume_id)
        if volume is None:
            raise CloudError(f"the cloud {self.name} has no volume {volume_id}")
        return volume

    def _volume_named(self, name: str) -> CloudVolume | None:
        return next((volume for volume in self.list_volumes() if volume.name == name), None)

    def _volume(self, volume: StorageVolume) -> CloudVolume:
        machine, device = self.attachment(volume)
        return CloudVolume(
            id=volume.id,
            name=volume.name,
            size=int(volume.size) * self.volume_unit,
            machine=machine,
            device=device,
            tags=_tags(volume),
            created=float((volume.extra or {}).get("created", 0.0)),
        )

    def _sizes(self) -> list[NodeSize]:
        return self.call("list its sizes", lambda: list(self.driver.list_sizes()))

    def _size(self, name: str) -> NodeSize:
        sizes = {size.name: size for size in self._sizes()}
        if name not in sizes:
            raise InvalidError(
                f"the cloud {self.name} has no size {name!r}{did_you_mean(name, sizes)}"
            )
        return sizes[name]


def _tags(thing: Node | StorageVolume) -> Mapping[str, str]:
    extra = thing.extra or {}
    return extra.get("tags") or extra.get("metadata") or {}
