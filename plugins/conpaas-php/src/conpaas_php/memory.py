"""How many PHP workers fit into a machine."""

from __future__ import annotations

from conpaas.features.monitoring.machine import Meter

#: Megabytes that the system and our own programs take.
_RESERVED = 128
#: Megabytes that a worker takes when it runs an ordinary application.
_WORKER = 48
_FEWEST, _MOST = 4, 32


def workers_that_fit(shared: bool, memory: int | None = None) -> int:
    """Return how many workers may run at once.

    Args:
        shared: The machine is more than a backend.
        memory: Bytes of the machine; default: those that it has.
    """
    if memory is None:
        memory = Meter().use().limit or 0
    megabytes = memory >> 20
    room = max(0, megabytes - _RESERVED) // (2 if shared else 1)
    return max(_FEWEST, min(_MOST, room // _WORKER))
