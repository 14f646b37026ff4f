"""Mount or unmount a block device inside a running machine: a program of its own.

It enters the machine's mount namespace for good, so it must be a process that ends there; and it
runs nothing of the machine's.  It imports nothing of ConPaaS to start in a few milliseconds.

    python3 -I -S mount.py attach DEVICE PATH PID
    python3 -I -S mount.py detach PATH PID
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

# System calls have these numbers on every architecture since Linux 5.2.
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100
_MOUNT_ATTR_NOATIME = 0x10
_CLONE_NEWNS = 0x20000
_CLOEXEC = 1

_libc = ctypes.CDLL(None, use_errno=True)


def attach(device: str, path: str, pid: str) -> None:
    """Mount the ext4 of a device at a path, which is made if need be."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    context = _call("fsopen", _libc.syscall(_FSOPEN, b"ext4", _CLOEXEC))
    source = device.encode()
    given = _libc.syscall(_FSCONFIG, context, _FSCONFIG_SET_STRING, b"source", source, 0)
    _call("fsconfig", given)
    _call("mount", _libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0))
    mount = _call("fsmount", _libc.syscall(_FSMOUNT, context, _CLOEXEC, _MOUNT_ATTR_NOATIME))
    _enter(namespace)
    os.makedirs(path, exist_ok=True)
    flags = _MOVE_MOUNT_F_EMPTY_PATH
    moved = _libc.syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, path.encode(), flags)
    _call("move_mount", moved)


def detach(path: str, pid: str) -> None:
    """Unmount what is mounted at a path; nothing mounted there is fine."""
    _enter(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY))
    try:
        _call("umount", _libc.umount2(path.encode(), 0))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _enter(namespace: int) -> None:
    _call("setns", _libc.setns(namespace, _CLONE_NEWNS))


def _call(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def main(command: str, *arguments: str) -> None:
    """Carry out one command line."""
    if command == "attach":
        attach(*arguments)
    else:
        detach(*arguments)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as failure:
        sys.exit(failure.strerror or str(failure))
