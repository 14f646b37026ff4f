"""What an agent asks of its machine about file systems: on a real one, and where tests run."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import Protocol

from conpaas.errors import AgentError

_TIMEOUT = 600.0  #: seconds: making a file system on a slow disk takes long
_NOTHING_FOUND = 2  #: blkid's exit code


class Mounts(Protocol):
    """The file systems of a machine.

    A device is what a cloud's ``attach_volume`` returned: the path of a block device, or of a
    directory where the cloud has mounted the volume already.
    """

    def find(self, device: str) -> str | None:
        """Return the device's path on this machine, None when it is not there (yet)."""

    def is_mounted(self, path: Path) -> bool:
        """Whether something is mounted at a path."""

    def has_data(self, device: str) -> bool:
        """Whether anything is on a device: a file system, partitions, whatever is known."""

    def format(self, device: str) -> None:
        """Make a file system on a device."""

    def mount(self, device: str, path: Path) -> None:
        """Mount a device, or show a directory that is mounted already, at a path."""

    def grow(self, device: str) -> None:
        """Make the file system on a device as large as the device, while it is mounted.

        One that the cloud has mounted is left to the cloud.

        Raises:
            AgentError: It cannot grow.
        """

    def unmount(self, path: Path) -> None:
        """Unmount what is mounted at a path.

        Raises:
            AgentError: It is in use, or cannot be unmounted for another reason.
        """

    def users(self, path: Path) -> list[str]:
        """Return who uses what is mounted at a path: "bash (1234)"."""

    def sync(self, path: Path) -> None:
        """Have everything written that stands to be written at a path."""


class SystemMounts:
    """The file systems of this machine, by Debian's util-linux and e2fsprogs."""

    def find(self, device: str) -> str | None:
        """Return the device's path, which the kernel may have given another name."""
        for path in (device, *_other_names(device)):
            if os.path.ismount(path) or Path(path).is_block_device():
                return path
        return None

    def is_mounted(self, path: Path) -> bool:
        """Whether something is mounted at a path."""
        # Not os.path.ismount: it does not see a directory of the same file system bound there.
        wanted = _escaped(str(path))
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return any(line.split(" ")[4] == wanted for line in lines)

    def has_data(self, device: str) -> bool:
        """Whether anything is on a device."""
        if os.path.ismount(device):
            return True
        # Readable first: blkid says of what it cannot read that it has found nothing.
        with open(device, "rb") as file:
            file.read(4096)
        found = subprocess.run(
            ["blkid", "-p", "-o", "export", device],
            capture_output=True, text=True, timeout=_TIMEOUT,
        )  # fmt: skip
        if found.returncode in (0, 8):  # 8: it is several things at once
            return True
        if found.returncode == _NOTHING_FOUND:
            return False
        raise AgentError(f"what is on {device} cannot be told: {_words(found)}")

    def format(self, device: str) -> None:
        """Make an ext4."""
        _run("mkfs.ext4", "-q", "-m", "0", device)

    def mount(self, device: str, path: Path) -> None:
        """Mount a device, or bind a directory."""
        path.mkdir(parents=True, exist_ok=True)
        options = ["--bind"] if os.path.ismount(device) else ["-o", "noatime"]
        _run("mount", *options, device, str(path))

    def grow(self, device: str) -> None:
        """Make the ext4 on a device larger; one that fills its device is left alone."""
        if not os.path.ismount(device):
            _run("resize2fs", device)

    def unmount(self, path: Path) -> None:
        """Unmount."""
        _run("umount", str(path))

    def users(self, path: Path) -> list[str]:
        """Return who has files, or a working directory, of that file system."""
        device = path.stat().st_dev
        return sorted(
            f"{_name(process)} ({process.name})"
            for process in Path("/proc").glob("[0-9]*")
            if any(_is_on(link, device) for link in _links(process))
        )

    def sync(self, path: Path) -> None:
        """Write."""
        _run("sync", "-f", str(path))


class DirectoryMounts:
    """File systems that are directories, mounts that are links: for machines that are objects.

    The mounts are this object's, as a machine's are its kernel's: they outlive its agent.

    Args:
        disks: A directory with a directory for each device, the same for all machines.
    """

    def __init__(self, disks: Path) -> None:
        self._disks = disks
        self._mounted: dict[Path, Path] = {}
        self.grown: list[str] = []  #: the devices that were to grow, for tests
        self.busy: dict[str, list[str]] = {}  #: who uses a mount, by its name, for tests

    def find(self, device: str) -> str | None:
        """Return the device, which is always there."""
        return device

    def is_mounted(self, path: Path) -> bool:
        """Whether something is mounted at a path."""
        return path in self._mounted

    def has_data(self, device: str) -> bool:
        """Whether it has been formatted."""
        return self._disk(device).is_dir()

    def format(self, device: str) -> None:
        """Make the directory."""
        self._disk(device).mkdir(parents=True)

    def mount(self, device: str, path: Path) -> None:
        """Make a link."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.symlink_to(self._disk(device))
        self._mounted[path] = self._disk(device)

    def grow(self, device: str) -> None:
        """Note it for tests: directories are as large as their disk."""
        self.grown.append(device)

    def unmount(self, path: Path) -> None:
        """Remove the link."""
        if self.busy.get(path.name):
            raise AgentError(f"umount: {path}: target is busy.")
        path.unlink(missing_ok=True)
        self._mounted.pop(path, None)

    def users(self, path: Path) -> list[str]:
        """Return whom a test has said."""
        return self.busy.get(path.name, [])

    def sync(self, path: Path) -> None:
        """Do nothing."""

    def reboot(self) -> None:
        """Forget all mounts, as a machine does that boots."""
        for path in list(self._mounted):
            path.unlink(missing_ok=True)
        self._mounted.clear()

    def _disk(self, device: str) -> Path:
        return self._disks / device.strip("/").replace("/", "-")


def _other_names(device: str) -> list[str]:
    # Clouds say sdf where the kernel says xvdf or vdf.
    found = re.fullmatch(r"/dev/(?:s|xv|v)d([b-z])", device)
    return [f"/dev/{kind}d{found[1]}" for kind in ("s", "xv", "v")] if found else []


def _escaped(path: str) -> str:
    """Return a path as the kernel prints it."""
    return re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", path)


def _run(*command: str) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AgentError(f"{command[0]} cannot be run: {error}") from error
    if ended.returncode:
        raise AgentError(f"{' '.join(command)}: {_words(ended)}")


def _words(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stderr.strip() or f"exit code {ended.returncode}"


def _links(process: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return [process / "cwd", process / "root", process / "exe", *(process / "fd").iterdir()]
    return []


def _is_on(link: Path, device: int) -> bool:
    try:
        return link.stat().st_dev == device
    except OSError:
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process that has ended"
