"""The volumes of a service and its nodes: who has which, and how they come together and part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conpaas.api import VolumeInfo
from conpaas.errors import BusyError, ConPaaSError, InvalidError, NotFoundError
from conpaas.manager.nodes import Node
from conpaas.manager.tools import ManagerTools
from conpaas.nearest import did_you_mean
from conpaas.rpc import Job, Progress, finished, patiently, scaled, share_of

#: Where volumes are mounted on their nodes.
DIRECTORY = "/media"
ATTACHED = "attached"
_KEPT = (ATTACHED, "available")
_AWAY = 10.0  #: seconds in which an agent that was killed is back


class NodeVolumes:
    """Brings volumes to nodes and takes them from them; every step may be repeated.

    A volume belongs to the node of a role and a position.  When that node goes, it waits for the
    next one that takes its place.

    Args:
        tools: The service manager, whose agents are :class:`VolumeAgent`.
    """

    def __init__(self, tools: ManagerTools[Any]) -> None:
        self._tools = tools
        self._desk = tools.place.volumes
        self._ahead: dict[int, int] = {}  # the machine that a volume was just attached to

    def all(self) -> list[VolumeInfo]:
        """Return the volumes of the service, oldest first."""
        return self._desk.all()

    def find(self, name: str) -> VolumeInfo:
        """Return the volume of that name.

        Raises:
            NotFoundError: The service has none.
        """
        volumes = self.all()
        for volume in volumes:
            if volume.name == name:
                return volume
        near = did_you_mean(name, [volume.name for volume in volumes])
        raise NotFoundError(f"service {self._tools.number} has no volume {name[:64]!r}{near}")

    def node_of(self, volume: VolumeInfo) -> Node | None:
        """Return the node that a volume is attached to, None when it is not."""
        nodes = self._tools.place.nodes.all()
        return next((node for node in nodes if node.machine == volume.machine), None)

    def require_size(self, size: int) -> None:
        """Raise InvalidError when a volume may not have so many MB."""
        most = self._tools.place.volume_limit
        if size > most:
            raise InvalidError(f"vol_size: a volume may have at most {most} MB, not {size}")

    def require_new(self, name: str, size: int) -> None:
        """Check what is asked for.

        Raises:
            InvalidError: The application has a volume of that name, or the size is too large.
        """
        self.require_size(size)
        taken = [v for v in self._desk.of_application() if v.name == name]
        if taken:
            raise InvalidError(
                f"the application has a volume {name!r} already, of service {taken[0].sid}: take "
                "another name, or delete that one"
            )

    def ensure(self, node: Node, name: str, size: int) -> Job[str]:
        """See to it that a node has a volume of that name, and return the path of its mount.

        There is one afterwards, made new if there was none, attached and mounted.  One that
        cannot be set up is destroyed again, if it was made by this very job.

        Args:
            node: Which has it.
            name: Unique in the application.
            size: In MB, at least; one that is there already keeps its size.
        """
        volume = next((v for v in self.all() if v.name == name), None)
        if volume is None or volume.state not in _KEPT:
            yield from self.create(node, name, size)
        else:
            yield from self.attach(volume, node)
        return f"{DIRECTORY}/{name}"

    def ensure_ahead(self, node: Node, name: str, size: int) -> Job[None]:
        """Do the clouds' part of ``ensure``, for a node whose agent need not answer yet."""
        volume = next((v for v in self.all() if v.name == name), None)
        if volume is None or volume.state not in _KEPT:
            volume = yield from scaled(self._desk.create(node, name, size), 0, 50)
        if self._ahead.get(volume.id) != node.machine:
            yield from scaled(self._attach_ahead(volume, node), 50, 100)

    def create(self, node: Node, name: str, size: int) -> Job[VolumeInfo]:
        """Create a volume, attach it to a node and mount it there.

        Raises:
            CloudError: It cannot be created or attached; then there is none.
            AgentError: It cannot be mounted; then there is none, unless it may have been in use.
        """
        volume = yield from scaled(self._desk.create(node, name, size), 0, 40)
        if volume.size != volume.wanted:
            yield Progress(
                40, f"the cloud {volume.cloud} makes {volume.size} MB of {volume.wanted} MB"
            )
        try:
            return (yield from scaled(self.attach(volume, node), 40, 90))
        except ConPaaSError as error:
            if self._tools.place.resuming:
                # The first time it may have come through, and somebody may use it by now.
                raise
            yield Progress(90, f"destroying the new volume {name}, because: {error}")
            self._unmount_quietly(volume, node)
            yield from scaled(self._desk.destroy(volume), 90, 100)
            raise

    def attach(self, volume: VolumeInfo, node: Node) -> Job[VolumeInfo]:
        """Attach a volume to a node, to which it belongs from now on, and mount it."""
        yield Progress(0, f"attaching the volume {volume.name} to {node.id}")
        # Once only: later, whatever may have become of it, the cloud is asked.
        ahead = self._ahead.pop(volume.id, None) == node.machine
        if not (ahead and volume.state == ATTACHED and volume.machine == node.machine):
            volume = yield from scaled(self._desk.attach(volume, node), 0, 60)
        agent, device = self._tools.agent(node), str(volume.device)

        def mount() -> Job[Any]:
            try:
                return agent.mount_volume(name=volume.name, device=device)  # type: ignore[no-any-return]  # of any agent
            except BusyError:
                if volume.name in agent.list_mounted_volumes():
                    return finished(None)  # what is at work there may use it, and last
                raise

        # Patiently: after a crash of the manager the agent may still be at it.
        mounting = patiently(mount, away=_AWAY)
        yield from scaled(self._tools.while_there(node, mounting), 60, 100)
        return volume

    def grow(self, volume: VolumeInfo, size: int) -> Job[VolumeInfo]:
        """Make a volume at least ``size`` MB large, with its file system where it is mounted.

        Repeated, it is the same.  One that is mounted nowhere gets its larger file system when it
        is mounted.

        Raises:
            WrongStateError: Its cloud can do it when it is detached.
            CloudError: Its cloud cannot do it.
            AgentError: Its file system cannot grow.
        """
        volume = yield from scaled(self._desk.grow(volume, size), 0, 70)
        node = self.node_of(volume)
        if volume.state == ATTACHED and node is not None and node in self._tools.nodes:
            yield Progress(70, f"growing the file system of {volume.name}")
            self._tools.agent(node).extend_volume(name=volume.name)
        return volume

    def owner_of(self, volume: VolumeInfo) -> Node | None:
        """Return the node that serves and that a volume belongs to, attached or not."""
        return _owner(volume, self._tools.nodes)

    def detach(self, volume: VolumeInfo) -> Job[None]:
        """Unmount a volume and detach it; its data is kept.

        Raises:
            AgentError: It is in use; tells by whom.
        """
        yield from self._unmount(volume)
        yield Progress(40, f"detaching the volume {volume.name}")
        yield from scaled(self._desk.detach(volume), 40, 100)

    def delete(self, volume: VolumeInfo) -> Job[None]:
        """Unmount a volume, detach it and destroy it with its data.

        Raises:
            AgentError: It is in use; tells by whom.
        """
        yield from self._unmount(volume)
        yield Progress(40, f"destroying the volume {volume.name}")
        yield from scaled(self._desk.destroy(volume), 40, 100)

    def attach_ahead(self, nodes: Sequence[Node]) -> Job[None]:
        """Have the clouds attach the volumes that belong to nodes whose agents are on their way.

        ``bring`` mounts them, and attaches what is not.
        """
        pairs = self._pairs(nodes)
        for place, (volume, node) in enumerate(pairs):
            yield from scaled(self._attach_ahead(volume, node), *share_of(place, len(pairs)))

    def bring(self, nodes: Sequence[Node]) -> Job[list[tuple[VolumeInfo, Node]]]:
        """Attach and mount the volumes that belong to nodes, and return which, with the nodes."""
        pairs = self._pairs(nodes)
        for place, (volume, node) in enumerate(pairs):
            yield from scaled(self.attach(volume, node), *share_of(place, len(pairs)))
        return pairs

    def part(self, nodes: Sequence[Node], *, for_good: bool) -> Job[None]:
        """Unmount and detach the volumes of nodes whose machines go; their data is kept.

        What cannot be unmounted is written to, and parts with its machine.

        Args:
            nodes: Those that go.
            for_good: Nobody takes their places: their volumes wait for nobody.
        """
        machines = {node.machine: node for node in nodes}
        volumes = [v for v in self.all() if v.machine in machines and v.state == ATTACHED]
        if not volumes:
            return
        names = ", ".join(volume.name for volume in volumes)
        yield Progress(0, f"detaching {names}: kept, with what is on them")
        if for_good:
            self._desk.orphan(volumes)
        for place, volume in enumerate(volumes):
            if self._unmount_quietly(volume, machines[volume.machine or 0]):
                yield from scaled(self._desk.detach(volume), *share_of(place, len(volumes)))

    def _pairs(self, nodes: Sequence[Node]) -> list[tuple[VolumeInfo, Node]]:
        """Return the volumes that belong to nodes and can come to them."""
        pairs = [(v, node) for v in self.all() if (node := _owner(v, nodes)) is not None]
        for volume, node in pairs:
            if volume.cloud != node.cloud:
                self._tools.log.warning(
                    "the volume %s is in the cloud %s and stays detached: %s is in %s",
                    volume.name, volume.cloud, node.id, node.cloud,
                )  # fmt: skip
        return [(volume, node) for volume, node in pairs if volume.cloud == node.cloud]

    def _attach_ahead(self, volume: VolumeInfo, node: Node) -> Job[None]:
        yield from self._desk.attach(volume, node)
        self._ahead[volume.id] = node.machine

    def _unmount(self, volume: VolumeInfo) -> Job[None]:
        node = self.node_of(volume)
        yield Progress(0, f"unmounting the volume {volume.name}")
        # A node that is lost cannot be asked; its volume is taken from its machine.
        if node is not None and node in self._tools.nodes:
            self._tools.agent(node).unmount_volume(name=volume.name)

    def _unmount_quietly(self, volume: VolumeInfo, node: Node) -> bool:
        def ask() -> bool:
            return bool(self._tools.agent(node).unmount_volume(name=volume.name))

        (answer,) = self._tools.place.at_once([ask])
        if isinstance(answer, ConPaaSError):
            self._tools.log.warning("the volume %s is not unmounted: %s", volume.name, answer)
        return not isinstance(answer, ConPaaSError)


def _owner(volume: VolumeInfo, nodes: Sequence[Node]) -> Node | None:
    """Return the node among these that a volume belongs to, if there is one."""
    if volume.state not in _KEPT:
        return None
    for node in nodes:
        if volume.state == ATTACHED:
            if volume.machine == node.machine:
                return node
        elif (volume.role, volume.position) == (node.role, node.position):
            return node
    return None
