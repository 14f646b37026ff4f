"""A cloud in the memory of one process: for tests, for trying things out, and for writing a cloud.

It keeps the contract of :class:`~conpaas.clouds.base.Cloud` to the letter, and fails on demand::

    cloud = MemoryCloud("memory", MemorySettings(), "test")
    cloud.provider.on_create = boot_in_this_process
    cloud.provider.fail_next("create_machine", "Quota exceeded for instances")
    cloud.provider.lose_next_answer()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from conpaas.clouds.base import (
    DEPLOYMENT_TAG,
    Cloud,
    CloudMachine,
    CloudVolume,
    MachineState,
    Size,
)
from conpaas.clouds.memory_provider import MemoryProvider, MemorySettings
from conpaas.errors import CloudError, InvalidError
from conpaas.nearest import did_you_mean

__all__ = ["MemoryCloud", "MemoryProvider", "MemorySettings"]
_SIZES = (Size("small", 512, 1), Size("medium", 1024, 1), Size("large", 2048, 2))


class MemoryCloud(Cloud):
    """A cloud whose machines are entries of a dictionary.

    Args:
        name: As with every cloud.
        settings: As with every cloud.
        deployment: As with every cloud.
        provider: Its far side; None makes a new one.
    """

    kind: ClassVar[str] = "memory"
    Settings: ClassVar[type[MemorySettings]] = MemorySettings
    settings: MemorySettings
    keeps_addresses: ClassVar[bool] = True
    grows_volumes: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        settings: MemorySettings,
        deployment: str,
        provider: MemoryProvider | None = None,
    ) -> None:
        super().__init__(name, settings, deployment)
        self.provider = provider or MemoryProvider(settings)

    def create_machine(
        self,
        name: str,
        user_data: str,
        tags: Mapping[str, str],
        size: str | None = None,
        address: str | None = None,
    ) -> CloudMachine:
        """Create a machine and tell ``on_create``, or return the one of this name."""
        wanted, known = size or self.settings.size, [each.name for each in _SIZES]
        if wanted not in known:
            raise InvalidError(
                f"the cloud {self.name} has no size {wanted!r}{did_you_mean(wanted, known)}"
            )
        self.provider.check("create_machine")
        with self.provider.lock:
            for machine in self._machines():
                if machine.name == name:
                    return machine
            machine = self.provider.make(name, {**tags, DEPLOYMENT_TAG: self.deployment}, address)
        if machine.state is MachineState.RUNNING:
            self.provider.on_create(machine, user_data)
        self.provider.answer(name)
        return machine

    def list_machines(self) -> list[CloudMachine]:
        """Return the deployment's machines."""
        self.provider.check("list_machines")
        return sorted(self._machines(), key=lambda machine: machine.name)

    def destroy_machine(self, machine_id: str) -> None:
        """Remove a machine and tell ``on_destroy``."""
        self.provider.check("destroy_machine")
        if any(machine.id == machine_id for machine in self._machines()):
            self.provider.remove(machine_id)

    def start_machine(self, machine_id: str) -> None:
        """Start a machine that is stopped and tell ``on_start``."""
        self.provider.check("start_machine")
        with self.provider.lock:
            machine = self._known_machine(machine_id)
            if machine.state is not MachineState.STOPPED:
                return
            machine = self.provider.put(dataclasses.replace(machine, state=MachineState.RUNNING))
        self.provider.on_start(machine)

    def console(self, machine_id: str) -> str:
        """Return what was ordered to stand on the console."""
        self.provider.check("console")
        return self.provider.consoles.get(machine_id, "")

    def create_volume(self, name: str, size: int, tags: Mapping[str, str]) -> CloudVolume:
        """Create a volume, or return the one of this name."""
        self.provider.check("create_volume")
        with self.provider.lock:
            for volume in self._volumes():
                if volume.name == name:
                    return volume
            made = self.provider.make_volume(name, size, {**tags, DEPLOYMENT_TAG: self.deployment})
        self.provider.answer(name)
        return made

    def list_volumes(self) -> list[CloudVolume]:
        """Return the deployment's volumes."""
        self.provider.check("list_volumes")
        return sorted(self._volumes(), key=lambda volume: volume.name)

    def attach_volume(self, volume_id: str, machine_id: str) -> str:
        """Attach a volume; the path names no real device."""
        self.provider.check("attach_volume")
        with self.provider.lock:
            volume, machine = self._known_volume(volume_id), self._known_machine(machine_id)
            if volume.machine not in (None, machine.id):
                raise CloudError(
                    f"the volume {volume.name} is attached to {volume.machine}: detach it first"
                )
            return str(self.provider.place(volume, machine.id).device)

    def detach_volume(self, volume_id: str) -> None:
        """Detach a volume."""
        self.provider.check("detach_volume")
        with self.provider.lock:
            for volume in self._volumes():
                if volume.id == volume_id:
                    self.provider.place(volume, None)

    def destroy_volume(self, volume_id: str) -> None:
        """Remove a volume that is not attached."""
        self.provider.check("destroy_volume")
        with self.provider.lock:
            for volume in self._volumes():
                if volume.id == volume_id:
                    if volume.machine is not None:
                        raise CloudError(
                            f"the volume {volume.name} is attached to {volume.machine}: "
                            "detach it first"
                        )
                    del self.provider.volumes[volume_id]

    def grow_volume(self, volume_id: str, size: int) -> CloudVolume:
        """Note that a volume is larger."""
        self.provider.check("grow_volume")
        with self.provider.lock:
            volume = self._known_volume(volume_id)
            grown = dataclasses.replace(volume, size=max(size, volume.size))
            self.provider.volumes[volume_id] = grown
        self.provider.answer(volume.name)
        return grown

    def sizes(self) -> list[Size]:
        """Return three sizes; nothing is limited by them."""
        return list(_SIZES)

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        known = [size.name for size in _SIZES]
        if self.settings.size in known:
            return []
        near = did_you_mean(self.settings.size, known)
        return [f"There is no size {self.settings.size!r}{near}"]

    def _machines(self) -> list[CloudMachine]:
        with self.provider.lock:
            return [m for m in self.provider.machines.values() if self._owns(m.tags)]

    def _volumes(self) -> list[CloudVolume]:
        with self.provider.lock:
            return [v for v in self.provider.volumes.values() if self._owns(v.tags)]

    def _owns(self, tags: Mapping[str, str]) -> bool:
        return tags.get(DEPLOYMENT_TAG) == self.deployment

    def _known_machine(self, machine_id: str) -> CloudMachine:
        for machine in self._machines():
            if machine.id == machine_id:
                return machine
        raise CloudError(f"the cloud {self.name} has no machine {machine_id}")

    def _known_volume(self, volume_id: str) -> CloudVolume:
        for volume in self._volumes():
            if volume.id == volume_id:
                return volume
        raise CloudError(f"the cloud {self.name} has no volume {volume_id}")
