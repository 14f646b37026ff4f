"""The agent's part of volumes: makes file systems, mounts, unmounts."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated

from conpaas.agent.base import AgentPlace, ServiceAgent
from conpaas.errors import AgentError, ConPaaSError
from conpaas.features.volumes.names import VolumeName
from conpaas.rpc import Job, Progress, expose

#: Seconds until the device of a volume that has been attached must be there.
PATIENCE = 100.0
_STORE = "volumes"


class VolumeAgent(ServiceAgent):
    """Mounts the node's volumes at ``/media/<name>``, again when the machine has booted.

    A volume that has anything on it is never formatted, and one in use is never unmounted.

    Given to you:
        ``volume_path(name)``: where a volume is mounted, or will be.
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._mounts = place.mounts

    def volume_path(self, name: str) -> Path:
        """Return where a volume is mounted, or will be."""
        return self.root / "media" / name

    def on_boot(self) -> None:
        """Mount what was mounted when the machine went down."""
        super().on_boot()
        for name, device in self._noted().items():
            try:
                self._mount(name, self._mounts.find(device) or device)
            except (ConPaaSError, OSError) as error:
                # The agent must serve all the same: its manager tries again at a repair.
                self.log.error("the volume %s cannot be mounted: %s", name, error)

    @expose(resumes=True)
    def mount_volume(
        self,
        name: VolumeName,
        device: Annotated[str, "Where the cloud has attached it: a device, or a mount"],
    ) -> Job[bool]:
        """Mount a volume, with a new file system if there is nothing on it.

        Returns:
            Whether that is news.

        Raises:
            AgentError: Its device does not come, or it cannot be formatted or mounted.
        """
        yield Progress(0, f"waiting for the device of {name}")
        until = time.monotonic() + PATIENCE
        while (found := self._mounts.find(device)) is None:
            if time.monotonic() > until:
                raise AgentError(
                    f"the volume {name} is attached, but {device} is not there after "
                    f"{PATIENCE:.0f} s"
                )
            yield Progress(0, f"waiting for {device}")
            time.sleep(0.2)
        if self._noted().get(name, device) != device:
            self.unmount_volume(name)  # an earlier volume of this name
        # Before it is mounted: whatever happens, it is mounted again or unmounted properly.
        self.store[_STORE] = {**self._noted(), name: device}
        if not self._mounts.is_mounted(self.volume_path(name)):
            if not self._has_data(found):
                yield Progress(20, f"making a file system on {name}")
                self._mounts.format(found)
                self.log.info("the volume %s (%s) is formatted", name, found)
            yield Progress(80, f"mounting {name}")
        return self._mount(name, found)

    @expose()
    def extend_volume(self, name: VolumeName) -> None:
        """Make the file system of a volume as large as its device, which has grown.

        Raises:
            AgentError: It is not mounted, or cannot grow.
        """
        if not self._mounts.is_mounted(self.volume_path(name)):
            raise AgentError(f"the volume {name} is not mounted on {self.place.node}")
        device = self._noted()[name]
        self._mounts.grow(self._mounts.find(device) or device)
        self.log.info("the volume %s fills its device", name)

    @expose()
    def unmount_volume(self, name: VolumeName) -> bool:
        """Unmount a volume, and return whether it was mounted.

        Raises:
            AgentError: It is in use; tells by whom, and nothing happens to it.
        """
        path = self.volume_path(name)
        mounted = self._mounts.is_mounted(path)
        if mounted:
            self._unmount(name, path)
        self._forget(name)
        with contextlib.suppress(OSError):
            # What is written here from now on would not be on the volume.
            path.rmdir()
        return mounted

    @expose(reads=True)
    def list_mounted_volumes(self) -> list[str]:
        """List the names of the volumes that are mounted."""
        return [name for name in self._noted() if self._mounts.is_mounted(self.volume_path(name))]

    # -- how it is done -----------------------------------------------------------------------

    def _noted(self) -> dict[str, str]:
        """Return the device of each volume that is, or shall be, mounted."""
        return dict(self.store.get(_STORE, {}))

    def _forget(self, name: str) -> None:
        self.store[_STORE] = {n: device for n, device in self._noted().items() if n != name}

    def _has_data(self, device: str) -> bool:
        try:
            return self._mounts.has_data(device)
        except OSError as error:
            raise AgentError(f"{device} cannot be read: {error.strerror or error}") from error

    def _mount(self, name: str, device: str) -> bool:
        path = self.volume_path(name)
        if self._mounts.is_mounted(path):
            return False
        self._mounts.mount(device, path)
        self.log.info("the volume %s (%s) is mounted at %s", name, device, path)
        try:
            self._mounts.grow(device)  # it may have grown while it was not mounted
        except AgentError as error:
            self.log.warning("the volume %s does not fill its device: %s", name, error)
        return True

    def _unmount(self, name: str, path: Path) -> None:
        try:
            self._mounts.unmount(path)
        except AgentError as error:
            self._mounts.sync(path)
            users = self._mounts.users(path)
            if not users:
                raise
            raise AgentError(
                f"the volume {name} is in use on {self.place.node} by {', '.join(users)}: end "
                "what uses it first"
            ) from error
        self.log.info("the volume %s is unmounted", name)
