"""The manager's part of volumes: what users ask for, and what becomes of volumes with nodes."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from conpaas.api import VolumeInfo
from conpaas.errors import ConPaaSError, InvalidError, WrongStateError
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.features.volumes.names import VolumeName
from conpaas.features.volumes.nodes import ATTACHED, NodeVolumes
from conpaas.manager.base import Node, ServiceManager
from conpaas.manager.handlers import Handled, handled
from conpaas.manager.history import AgentId
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.schema import DETAIL, Option
from conpaas.state import State

A = TypeVar("A", bound=VolumeAgent)

VolumeSize = Annotated[
    int, "Size in MB; clouds may round it up", Option(metavar="vol_size"), msgspec.Meta(ge=1)
]
_SETTLED = (State.INIT, State.STOPPED, State.RUNNING, State.ERROR)


@dataclass(frozen=True)
class VolumeRow:
    """A row of ``list_volumes``; ``vol_size`` is the true size, in MB.

    ``agent_id`` is empty while the volume is attached to no node; ``state`` tells then whether it
    waits for one.  One that is ``needed`` can be neither detached nor deleted now.
    """

    aid: int
    sid: int
    vol_name: str
    vol_size: int
    agent_id: str
    cloud: str
    state: str
    needed: Annotated[bool, DETAIL] = False


@dataclass(frozen=True)
class VolumeMade:
    """A volume that has been created; ``rounded`` says so when its size is not what was asked."""

    aid: int
    sid: int
    vol_name: str
    vol_size: int
    agent_id: str
    cloud: str
    rounded: str = ""


class VolumeManager(ServiceManager[A], abc.ABC):
    """Directs the nodes of a service whose nodes may have volumes.

    Given to users:
        ``create_volume``, ``list_volumes``, ``attach_volume``, ``detach_volume``,
        ``grow_volume``, ``delete_volume``.

    May override:
        ``check_volumes(nodes)``: raise when volumes of these nodes must not be changed now.
        ``check_parting(volume)``: raise when a volume must not be detached or deleted now.
        ``on_volume_taken(volume, node)``, ``on_volume_back(volume, node)``: stop using a volume
        that is detached for a moment to grow, and use it again.
        ``volumes_came(pairs)``: volumes were mounted on the nodes that they belong to.

    Given to you:
        ``self.volumes``: ``self.volumes.ensure(node, name, size)`` in a handler, and the node has
        a volume of that name, mounted at ``/media/<name>``, however often it is called.

    Volumes come back before the service's own handlers are called: to the node of the same role
    and position after a stop, to the replacement of a lost node.
    """

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self.volumes = NodeVolumes(self)

    def check_volumes(self, nodes: Sequence[Node]) -> None:
        """Raise when volumes of these nodes must not be changed now."""

    def check_parting(self, volume: VolumeInfo) -> None:
        """Raise when a volume must not be detached or deleted now."""

    def volumes_came(self, pairs: Sequence[tuple[VolumeInfo, Node]]) -> None:
        """Know which volumes were mounted, on which nodes, before the handlers are called."""

    # -- given to users -----------------------------------------------------------------------

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        done="Creating volume '{vol_name}' and attaching it to node '{agent_id}'...  done."
        "{rounded}",
    )
    def create_volume(
        self, vol_name: VolumeName, vol_size: VolumeSize, agent_id: AgentId
    ) -> Job[VolumeMade]:
        """Create a volume and attach it to a node, which finds it at /media/<vol_name>."""
        node = self._ready(agent_id)
        if not self.place.resuming:
            self.volumes.require_new(vol_name, vol_size)
            self.check_volumes([node])
        yield Progress(0, f"creating the volume {vol_name}")
        volume = yield from scaled(self.volumes.create(node, vol_name, vol_size), 0, 100)
        rounded = ""
        if volume.size != volume.wanted:
            rounded = (
                f" Its size is {volume.size} MB: the cloud {volume.cloud} rounds {volume.wanted} "
                "MB up."
            )
        return VolumeMade(
            volume.aid, volume.sid, volume.name, volume.size, node.id, volume.cloud, rounded
        )

    @expose(reads=True)
    def list_volumes(self) -> list[VolumeRow]:
        """List the volumes of the service."""
        return [self._row(volume) for volume in self.volumes.all()]

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        done="Volume '{vol_name}' is attached to node '{agent_id}'.",
    )
    def attach_volume(self, vol_name: VolumeName, agent_id: AgentId) -> Job[VolumeRow]:
        """Attach a volume, with what is on it, to a node: one that was detached, or kept."""
        node, volume = self._ready(agent_id), self.volumes.find(vol_name)
        if not self.place.resuming:
            if volume.state == ATTACHED:
                there = self.volumes.node_of(volume)
                raise WrongStateError(
                    f"the volume {vol_name} is attached to {there.id if there else 'a node'}: "
                    "detach it first"
                )
            self.check_volumes([node])
        yield Progress(0, f"attaching the volume {vol_name}")
        return self._row((yield from scaled(self.volumes.attach(volume, node), 0, 100)))

    @expose(
        states=(State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
        done="Volume '{vol_name}' is detached; what is on it is kept.",
    )
    def detach_volume(self, vol_name: VolumeName) -> Job[VolumeRow]:
        """Detach a volume from its node; it is kept, with what is on it, and waits for nobody."""
        volume = self.volumes.find(vol_name)
        if not self.place.resuming:
            self._check_parting(volume)
        yield Progress(0, f"detaching the volume {vol_name}")
        self.place.volumes.orphan([volume])
        yield from scaled(self.volumes.detach(volume), 0, 100)
        return self._row(self.volumes.find(vol_name))

    @expose(
        states=_SETTLED,
        meanwhile=State.ADAPTING,
        resumes=True,
        done="Volume '{vol_name}' has {vol_size} MB.",
    )
    def grow_volume(self, vol_name: VolumeName, vol_size: VolumeSize) -> Job[VolumeRow]:
        """Make a volume larger, with what is on it.

        Its node goes on using it meanwhile, unless the cloud or its machine wants it detached:
        then the node does without it for a moment.
        """
        volume = self.volumes.find(vol_name)
        if not self.place.resuming:
            self.volumes.require_size(vol_size)
            if vol_size < volume.size:
                raise InvalidError(
                    f"vol_size: the volume {vol_name} has {volume.size} MB, and none gets smaller"
                )
        yield Progress(0, f"growing the volume {vol_name}")
        node = self.volumes.owner_of(volume)
        try:
            volume = yield from scaled(self.volumes.grow(volume, vol_size), 0, 60)
        except WrongStateError as error:
            if node is None:
                raise
            yield Progress(10, f"{error}: it is detached for a moment")
            yield from scaled(self._grow_detached(volume, node, vol_size), 10, 90)
        if node is not None and self.volumes.find(vol_name).state != ATTACHED:
            yield from self._give_back(volume, node)
        elif node is not None and self.place.resuming:
            yield from handled(self.on_volume_back(volume, node), 90, 98)
        return self._row(self.volumes.find(vol_name))

    @expose(
        states=_SETTLED,
        meanwhile=State.ADAPTING,
        resumes=True,
        done="Detaching volume '{vol_name}' and deleting it...  done.",
        confirm="The volume is destroyed, and all data on it is lost forever.",
    )
    def delete_volume(self, vol_name: VolumeName) -> Job[None]:
        """Detach a volume and delete it: all data on it is lost forever."""
        if self.place.resuming:
            # It may have been destroyed before the crash.
            volumes = [v for v in self.volumes.all() if v.name == vol_name]
        else:
            volumes = [self.volumes.find(vol_name)]
            self._check_parting(volumes[0])
        yield Progress(0, f"deleting the volume {vol_name}")
        for volume in volumes:
            yield from scaled(self.volumes.delete(volume), 0, 100)

    # -- growing ------------------------------------------------------------------------------

    def on_volume_taken(self, volume: VolumeInfo, node: Node) -> Handled:
        """Have nothing on a node use a volume, which is taken from it for a moment."""
        return None

    def on_volume_back(self, volume: VolumeInfo, node: Node) -> Handled:
        """Have a volume used again that was taken from its node for a moment; idempotent."""
        return None

    def _grow_detached(self, volume: VolumeInfo, node: Node, size: int) -> Job[None]:
        try:
            yield from handled(self.on_volume_taken(volume, node), 0, 30)
            yield from scaled(self.volumes.detach(volume), 30, 50)
            yield from scaled(self.volumes.grow(volume, size), 50, 70)
        except ConPaaSError as error:
            yield Progress(70, f"giving {volume.name} back as it was, because: {error}")
            yield from scaled(self._give_back(volume, node), 70, 100)
            raise
        yield from scaled(self._give_back(volume, node), 70, 100)

    def _give_back(self, volume: VolumeInfo, node: Node) -> Job[None]:
        yield from scaled(self.volumes.attach(self.volumes.find(volume.name), node), 0, 60)
        yield from handled(self.on_volume_back(volume, node), 60, 100)

    # -- with the nodes -----------------------------------------------------------------------

    def get_ready(self, nodes: Sequence[Node]) -> Job[None]:
        """Have the clouds attach the volumes that belong to nodes."""
        yield from scaled(super().get_ready(nodes), 0, 10)
        yield from scaled(self.volumes.attach_ahead(nodes), 10, 100)

    def equip(self, nodes: Sequence[Node]) -> Job[None]:
        """Bring nodes the volumes that belong to them."""
        yield from scaled(super().equip(nodes), 0, 10)
        self.volumes_came((yield from scaled(self.volumes.bring(nodes), 10, 100)))

    def unequip(self, nodes: Sequence[Node], *, for_good: bool) -> Job[None]:
        """Take the volumes from nodes whose machines are about to go."""
        yield from scaled(self.volumes.part(nodes, for_good=for_good), 0, 90)
        yield from scaled(super().unequip(nodes, for_good=for_good), 90, 100)

    # -- how it is done -----------------------------------------------------------------------

    def _ready(self, agent_id: str) -> Node:
        node = self.node(agent_id)
        if node not in self.nodes:
            raise WrongStateError(f"the node {node.id} is {node.state}: choose another")
        return node

    def _check_parting(self, volume: VolumeInfo) -> None:
        self.check_parting(volume)
        node = self.volumes.node_of(volume)
        if node is not None and node in self.nodes:
            self.check_volumes([node])

    def _row(self, volume: VolumeInfo) -> VolumeRow:
        node = self.volumes.node_of(volume)
        return VolumeRow(
            aid=volume.aid,
            sid=volume.sid,
            vol_name=volume.name,
            vol_size=volume.size,
            agent_id=node.id if node is not None and volume.state == ATTACHED else "",
            cloud=volume.cloud,
            state=_state(volume),
            needed=self._is_needed(volume),
        )

    def _is_needed(self, volume: VolumeInfo) -> bool:
        try:
            self.check_parting(volume)
        except ConPaaSError:
            return True
        return False


def _state(volume: VolumeInfo) -> str:
    """Return the state as users know it: creating, attached, detached, waiting or deleting."""
    if volume.state == "available":
        if volume.position is None:
            return "detached"
        which = f" {volume.position + 1}" if volume.position else ""
        return f"waiting for {volume.role}{which}"
    return {"wanted": "creating", "doomed": "deleting"}.get(volume.state, volume.state)
