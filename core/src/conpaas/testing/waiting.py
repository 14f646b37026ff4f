"""Waits for what real programs do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Wait until something becomes true, and return it.

    Be patient: only what is broken takes that long, and what works may be slow on a busy machine.

    Raises:
        TimeoutError: It does not.
    """
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"it did not happen within {seconds:.0f} s")
        time.sleep(0.01)
    return found
