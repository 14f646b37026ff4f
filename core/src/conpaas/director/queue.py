"""Hands jobs to workers: through the database with huey, or to threads of this process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import peewee

#: Seconds between looks for work: people wait for these jobs.
_LOOK_EVERY = 0.05
#: Seconds until a thread that waits for work sees whether it shall end.
_LOOK_FOR = 1.0
logger = logging.getLogger(__name__)


class HueyQueue:
    """A queue in the director's database, which any worker on any host takes from.

    What managers ask for has a lane of its own, with workers of its own: the others' jobs wait
    for it, and would wait for ever if they were at work on all workers.

    Args:
        database: The director's.
    """

    def __init__(self, database: peewee.Database) -> None:
        from huey.api import Huey

        # The library logs each task: our own records say more.
        logging.getLogger("huey").setLevel(logging.WARNING)
        storage = _storage_class()
        self.run: Callable[[int], None] | None = None
        self.lanes = tuple(
            Huey(name, storage_class=storage, database=database, results=False)
            for name in ("conpaas", "conpaas-managers")
        )
        self._tasks: list[Any] = [lane.task(name="run_job")(self._run) for lane in self.lanes]

    def put(self, number: int, for_manager: bool = False) -> None:
        """Have some worker run the job of that number soon."""
        self._tasks[for_manager](number)

    def _run(self, number: int) -> None:
        if self.run is None:
            raise RuntimeError("this process does not run jobs")
        self.run(number)


def _storage_class() -> type[Any]:
    from huey.contrib.sql_huey import SqlStorage

    class OneLooks(SqlStorage):
        """Has one of the waiting threads look for work, cheaply: each costs as much as all."""

        blocking = True

        def __init__(self, name: str, **settings: Any) -> None:
            super().__init__(name, **settings)
            self._looking = threading.Lock()
            self._any_task = self.tasks(self.Task.id).limit(1).sql()

        def dequeue(self) -> bytes | None:
            """Return the next task, None when there is none for a second."""
            until = time.monotonic() + _LOOK_FOR
            with self._looking:
                self.check_conn()
                while time.monotonic() < until:
                    if self.database.execute_sql(*self._any_task).fetchone() is not None:
                        task: bytes | None = super().dequeue()
                        if task is not None:
                            return task
                    time.sleep(_LOOK_EVERY)
            return None

    return OneLooks


class ThreadQueue:
    """Runs each job on a thread of this process: for tests, and for a director in one process."""

    def __init__(self) -> None:
        self.run: Callable[[int], None] | None = None
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def put(self, number: int, for_manager: bool = False) -> None:
        """Run the job of that number on a thread."""
        if self.run is None:
            raise RuntimeError("this process does not run jobs")
        thread = threading.Thread(target=self.run, args=(number,), name=f"job-{number}")
        with self._lock:
            thread.start()
            self._threads = [thread, *(each for each in self._threads if each.is_alive())]

    def join(self) -> None:
        """Wait until all have ended, those too that they begin meanwhile."""
        while True:
            with self._lock:
                if not self._threads:
                    return
                thread = self._threads.pop()
            thread.join()
