"""Loop devices that the kernel takes away by itself when nobody uses them any more."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from conpaas.errors import CloudError, WrongStateError

# From <linux/loop.h>.
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_CAPACITY = 0x4C07
_LO_FLAGS_AUTOCLEAR = 4
# From <linux/ext4.h>: the argument is the number of blocks.
_EXT4_IOC_RESIZE_FS = 0x40086610
# struct loop_config: the file, the block size, lo_flags inside struct loop_info64, reserved.
_LOOP_CONFIG = struct.Struct("=II 52xI 64x64x32x16x 64x")


@contextlib.contextmanager
def loop_device(file: Path) -> Iterator[str]:
    """Give the path of a loop device over a file.

    It lasts as long as the block, or as something made from it is mounted: nothing is left when
    this process is killed.

    Raises:
        CloudError: There is no loop device to be had, or the file is mounted already.
    """
    if not wait_until_unused(file, timeout=5.0):
        raise CloudError(f"{file} is still mounted in a machine: stop what uses it there")
    with open(file, "r+b", buffering=0) as backing:
        device, path = _configure(backing.fileno())
    try:
        yield path
    finally:
        os.close(device)


def wait_until_unused(file: Path, timeout: float) -> bool:
    """Wait until no loop device uses a file: the kernel lets them go a moment after the mount."""
    deadline = time.monotonic() + timeout
    while users(file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def users(file: Path) -> list[str]:
    """Return the names of the loop devices that use a file."""
    found = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        # One that goes while we look is not there any more.
        with contextlib.suppress(OSError):
            if entry.read_text().rstrip("\n") == str(file):
                found.append(entry.parent.parent.name)
    return found


def grow_mounted(file: Path, path: str) -> None:
    """Make the ext4 in a file as large as the file, while it is mounted.

    resize2fs would ask the kernel for the same, but looks for the mount in our own namespace.

    Args:
        file: Which has grown.
        path: Where its file system is mounted, as seen from here.

    Raises:
        WrongStateError: This machine does not let it grow while it is mounted.
        CloudError: It cannot be done.
    """
    mount = -1
    try:
        (name,) = users(file)
        device = os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _LOOP_SET_CAPACITY)
            mount = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # The machine's root may have put something else in its way.
            if os.fstat(mount).st_dev != os.fstat(device).st_rdev:
                raise CloudError(f"what is mounted at {path} is not {file}")
            blocks = file.stat().st_size // os.fstatvfs(mount).f_bsize
            fcntl.ioctl(mount, _EXT4_IOC_RESIZE_FS, struct.pack("Q", blocks))
        finally:
            os.close(device)
            if mount >= 0:
                os.close(mount)
    except ValueError:
        raise CloudError(f"{file} is not mounted once: {', '.join(users(file))}") from None
    except PermissionError:
        # In some containers root has no CAP_SYS_RESOURCE.
        raise WrongStateError(
            "this machine does not let us make a file system larger while it is mounted"
        ) from None
    except OSError as error:
        raise CloudError(f"the file system in {file} cannot grow: {error.strerror}") from error


def _configure(backing: int) -> tuple[int, str]:
    for _ in range(100):
        try:
            with open("/dev/loop-control", "r+b", buffering=0) as control:
                path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise CloudError(
                f"no loop device is to be had ({error}): try modprobe loop"
            ) from error
        try:
            config = _LOOP_CONFIG.pack(backing, 0, _LO_FLAGS_AUTOCLEAR)
            fcntl.ioctl(device, _LOOP_CONFIGURE, config)
            return device, path
        except OSError as error:
            os.close(device)
            # Somebody else took it between the two calls.
            if error.errno != errno.EBUSY:
                raise CloudError(f"{path}: {error.strerror}") from error
    raise CloudError("all loop devices are being taken by others: try again")
