"""What is done again and again in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conpaas.director.place import DirectorPlace


@dataclass(frozen=True)
class Periodic:
    """Something that the director's worker does every so many seconds.

    It may run in several workers at once, and be cut off at any moment: it must be idempotent.
    """

    name: str
    every: float
    do: Callable[[DirectorPlace], None]
