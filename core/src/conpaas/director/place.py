"""The director, as plugins see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import peewee

from conpaas.director.config import DirectorConfig


class DirectorPlace(Protocol):
    """What a hook is given of the director: :class:`conpaas.director.director.Director`."""

    config: DirectorConfig
    database: peewee.Database
    clock: Callable[[], float]  #: seconds since 1970, UTC
    jobs: Any  #: :class:`conpaas.director.jobs.DirectorJobs`
