#!/usr/bin/env python3
"""Runs Debian's chromium such that it is not told when this machine's networks change.

Whoever makes machines adds and removes network interfaces, and chromium then cuts the requests
that are under way (ERR_NETWORK_CHANGED), one to 127.0.0.1 too, and has no option for it.  Here
the kernel refuses it the sockets on which it would be told (AF_NETLINK, by a seccomp filter); it
takes itself for connected then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys

# From linux/prctl.h, linux/bpf_common.h, linux/seccomp.h and the table of system calls.
NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x0005_0000, 0x7FFF_0000
SOCKET = {"x86_64": 41, "aarch64": 198}
NUMBER, FIRST_ARGUMENT = 0, 16  #: where the kernel's record of a call has them


class Program(ctypes.Structure):
    """What the kernel takes: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_netlink() -> None:
    """Refuse this process and its children every new socket of the kind.

    Raises:
        OSError: The kernel has no such filters.
    """
    if os.uname().machine not in SOCKET:
        raise OSError(errno.ENOSYS, f"nobody has looked up the calls of {os.uname().machine}")
    instructions = [
        (LOAD, 0, 0, NUMBER),
        (JUMP_IF_EQUAL, 0, 3, SOCKET[os.uname().machine]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 0, 1, socket.AF_NETLINK),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    program = Program(len(instructions), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((NO_NEW_PRIVS, 1, 0), (SET_SECCOMP, MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*call, 0, 0):
            raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


if __name__ == "__main__":
    try:
        refuse_netlink()
    except OSError as error:
        # It works all the same, as long as nobody changes networks meanwhile.
        print(f"chromium is told when networks change: {error}", file=sys.stderr)
    os.execv("/usr/bin/chromium", ["/usr/bin/chromium", *sys.argv[1:]])
