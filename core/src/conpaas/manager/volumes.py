"""The volumes of one service, by way of the director."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from conpaas.api import ManagerDesk, VolumeInfo
from conpaas.jobs import JobRunner
from conpaas.manager.nodes import Node
from conpaas.rpc import Job


class ServiceVolumes:
    """Asks the director, which keeps the record of volumes, about those of one service.

    Args:
        number: Of the service.
        desk: The director.
        runner: Remembers what a job has begun.
    """

    def __init__(self, number: int, desk: ManagerDesk, runner: JobRunner) -> None:
        self._number = number
        self._desk = desk
        self._runner = runner

    def all(self) -> list[VolumeInfo]:
        """Return the volumes of the service, oldest first."""
        return [volume for volume in self.of_application() if volume.sid == self._number]

    def of_application(self) -> list[VolumeInfo]:
        """Return the volumes of all services of the application."""
        return list(self._desk.list_volumes())

    def create(self, node: Node, name: str, size: int) -> Job[VolumeInfo]:
        """Create a volume of at least ``size`` MB for a node, in its cloud."""
        # Random, not the job's number: a manager that takes over may count from an older one.
        key = self._runner.remember(f"volume {name}", lambda: secrets.token_hex(8))
        return (
            yield from self._desk.create_volume(
                machine=node.machine, name=name, size=size, position=node.position, key=key
            )
        )

    def attach(self, volume: VolumeInfo, node: Node) -> Job[VolumeInfo]:
        """Attach a volume to a node, to which it belongs from now on."""
        return (
            yield from self._desk.attach_volume(
                volume=volume.id, machine=node.machine, position=node.position
            )
        )

    def detach(self, volume: VolumeInfo) -> Job[None]:
        """Detach a volume."""
        yield from self._desk.detach_volume(volume=volume.id)

    def grow(self, volume: VolumeInfo, size: int) -> Job[VolumeInfo]:
        """Make a volume at least ``size`` MB large."""
        return (yield from self._desk.grow_volume(volume=volume.id, size=size))

    def orphan(self, volumes: Sequence[VolumeInfo]) -> None:
        """Note that volumes belong to no node any more."""
        self._desk.orphan_volumes(volumes=tuple(volume.id for volume in volumes))

    def destroy(self, volume: VolumeInfo) -> Job[None]:
        """Detach a volume and destroy it with its data."""
        yield from self._desk.destroy_volume(volume=volume.id)
