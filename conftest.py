"""Settings of a run of tests, whichever they are."""

import os
import signal
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - names in it are made by tempfile
ROOM = 6 << 30  #: bytes that tests leave behind for being looked at, and some


def pytest_configure() -> None:
    """Have tests write to memory where there is room for it, and listen to Ctrl-C.

    What they write is made safe against a loss of power as in real life: they would wait for the
    disk most of the time.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background so, and all that tests start would be too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize >= ROOM and not room.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
