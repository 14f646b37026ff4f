"""Hands jobs to workers: through the database with huey, or to threads of this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import peewee

if TYPE_CHECKING:
    from huey import Huey

logger = logging.getLogger(__name__)


class HueyQueue:
    """A queue in the director's database, which any worker on any host takes from.

    Args:
        database: The director's.
    """

    def __init__(self, database: peewee.Database) -> None:
        from huey.contrib.sql_huey import SqlHuey

        # The library logs each task: our own records say more.
        logging.getLogger("huey").setLevel(logging.WARNING)
        self.huey: Huey = SqlHuey("conpaas", database=database, results=False)
        self.run: Callable[[int], None] | None = None
        self._task: Any = self.huey.task(name="run_job")(self._run)

    def put(self, number: int) -> None:
        """Have some worker run the job of that number soon."""
        self._task(number)

    def _run(self, number: int) -> None:
        if self.run is None:
            raise RuntimeError("this process does not run jobs")
        self.run(number)


class ThreadQueue:
    """Runs each job on a thread of this process: for tests, and for a director in one process."""

    def __init__(self) -> None:
        self.run: Callable[[int], None] | None = None

    def put(self, number: int) -> None:
        """Run the job of that number on a thread."""
        if self.run is None:
            raise RuntimeError("this process does not run jobs")
        threading.Thread(target=self.run, args=(number,), name=f"job-{number}").start()
