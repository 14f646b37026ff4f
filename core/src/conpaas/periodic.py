"""What is done again and again in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Periodic:
    """Something that the director's worker does every so many seconds.

    It is given the :class:`~conpaas.director.director.Director`.  It may run in several workers
    at once, and be cut off at any moment: it must be idempotent.
    """

    name: str
    every: float
    do: Callable[[Any], None]
