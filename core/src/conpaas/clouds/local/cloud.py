"""Machines on this very machine, as the director sees them."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import ClassVar

from conpaas.clouds.base import CloudVolume
from conpaas.clouds.libcloud_base import LibcloudCloud
from conpaas.clouds.local import problems
from conpaas.clouds.local.driver import LocalNodeDriver, image_names
from conpaas.clouds.local.settings import LocalSettings
from conpaas.errors import CloudError


class LocalCloud(LibcloudCloud):
    """LXC instances on this machine: the cloud of a fresh installation, of nutshell and of tests.

    It needs root.  An instance is no security boundary against root inside it.  Several local
    clouds live side by side when directory, bridge and prefix differ.
    """

    kind: ClassVar[str] = "local"
    Settings: ClassVar[type[LocalSettings]] = LocalSettings
    settings: LocalSettings
    keeps_addresses: ClassVar[bool] = True
    grows_volumes: ClassVar[bool] = True
    volume_unit = 1
    # Nothing gets lost on the way to this machine.
    attempts = 1

    def make_driver(self) -> LocalNodeDriver:
        """Return a driver over the cloud's directory."""
        settings = self.settings
        return LocalNodeDriver(
            directory=settings.directory,
            images=settings.images,
            bridge=settings.bridge,
            subnet=settings.subnet,
            prefix=settings.prefix,
            init=settings.init,
            sizes=settings.sizes,
        )

    def image(self) -> str:
        """Return the image of the settings, or the newest."""
        names = image_names(Path(self.settings.images))
        if not self.settings.image and not names:
            raise CloudError(f"there is no image in {self.settings.images}: build one first")
        image = self.settings.image or names[-1]
        self._register(image)
        return image

    def address_options(self, address: str) -> dict[str, str]:
        """Return the argument by which the driver is asked for an address."""
        return {"ex_address": address}

    def attach_volume(self, volume_id: str, machine_id: str) -> str:
        """Mount a volume in a machine and return where; stopped, it has it when it boots."""
        node, storage = self._known_node(machine_id), self._known_volume(volume_id)
        # Also where it is attached already: who did that may have died before it was mounted.
        self.call(
            f"attach the volume {storage.name}", lambda: self.driver.attach_volume(node, storage)
        )
        return str(self.attachment(self._known_volume(volume_id))[1])

    def grow_volume(self, volume_id: str, size: int) -> CloudVolume:
        """Make a volume and its file system larger, in a machine that runs too."""
        storage = self._known_volume(volume_id)
        self.call(
            f"grow the volume {storage.name}",
            lambda: self.driver.ex_grow_volume(storage, size),
        )
        return self._volume(self._known_volume(volume_id))

    def console(self, machine_id: str) -> str:
        """Return the end of what the machine wrote to its console."""
        return str(self.driver.instances.console(machine_id))

    def problems(self) -> list[str]:
        """Return what keeps machines from running here, and what to do about each."""
        return problems.find(self.settings, self.driver)

    # --- beyond the contract of clouds: for whoever owns this machine

    @property
    def gateway(self) -> str:
        """The address at which machines find this machine.

        Raises:
            CloudError: The network is not up.
        """
        return str(self.driver.network.gateway)

    @property
    def subnet(self) -> str:
        """The addresses of the machines, as in ``10.77.0.0/20``.

        Raises:
            CloudError: The network is not up.
        """
        return str(self.driver.network.subnet)

    def up(self) -> None:
        """Bring the network up; machines stay as they are.  Done again, nothing happens."""
        self.driver.store.make()
        if self.settings.image:
            self._register(self.settings.image)
        self.driver.network.up()

    def stop_machine(self, machine_id: str, grace: float = 10.0) -> None:
        """Stop a machine; disk and volumes stay, and ``start_machine`` boots it again."""
        node = self._known_node(machine_id)
        self.call(f"stop the machine {machine_id}", lambda: self.driver.stop_node(node, grace))

    def halt(self, grace: float = 10.0) -> None:
        """Stop all machines of the directory, as if this machine went off, and the network."""
        self.call("stop its machines", lambda: self._halt(grace))

    def down(self) -> None:
        """Destroy everything: the machines and volumes of the directory, the network, the files.

        Nothing of the cloud is left but images.  It can be done again when it was interrupted.
        """
        self.call("destroy everything", self._down)

    def _halt(self, grace: float) -> None:
        for node in self.driver.list_nodes():
            self.driver.stop_node(node, grace)
        self.driver.network.down()

    def _down(self) -> None:
        for node in self.driver.list_nodes():
            self.driver.destroy_node(node)
        for volume in self.driver.list_volumes():
            self.driver.destroy_volume(volume)
        self.driver.network.down()
        self.driver.store.remove()
        self._link.unlink(missing_ok=True)
        _remove_pivots()

    def _before_destroy(self, machine_id: str) -> None:
        """Do nothing: volumes are released when nothing runs any more, which is never refused."""

    @property
    def _link(self) -> Path:
        digest = hashlib.sha256(self.settings.directory.encode()).hexdigest()[:12]
        return Path(self.settings.images) / ".users" / digest

    def _register(self, image: str) -> None:
        # Who removes old images must know where to look for those that are used.
        self.driver.store.boots(image)
        with contextlib.suppress(FileExistsError):
            self._link.parent.mkdir(exist_ok=True)
            self._link.symlink_to(self.settings.directory)


def _remove_pivots() -> None:
    # lxc parks its monitors here when they end; it makes them again when it needs them.
    cgroups = Path("/sys/fs/cgroup")
    for directory in (*cgroups.glob("*/lxc.pivot"), cgroups / "lxc.pivot"):
        with contextlib.suppress(OSError):
            directory.rmdir()
