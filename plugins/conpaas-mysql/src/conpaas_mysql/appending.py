"""Clients that append to lists in a database, of which every single append is accounted for.

For tests of clusters that are hurt meanwhile: whatever was acknowledged must be there afterwards,
exactly once, on every database; what was not acknowledged may be there, but never twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Self

import pymysql

_DATABASE = "appends"
_SET_UP = (
    "CREATE DATABASE appends",
    "CREATE TABLE appends.lists (name VARCHAR(20) PRIMARY KEY, content LONGTEXT NOT NULL)",
)
#: Seconds that a client waits for an answer, and then before it connects again.
_PATIENCE, _PAUSE = 40, 0.05


class Appenders:
    """Clients that append as long as their ``with``; no value is ever appended again.

    Args:
        host: Where they connect, such as a balancer.
        user: With the right to create a database.
        password: Of the user.
        clients: That append at once.
        lists: To which they append, at random.
        rate: Appends of each client in a second, at most.
        seed: Of what is random.
    """

    def __init__(
        self,
        host: str,
        user: str,
        password: str,
        *,
        clients: int = 4,
        lists: int = 5,
        rate: float = 50.0,
        seed: int = 1,
    ) -> None:
        self._host, self._user, self._password = host, user, password
        self._names = [f"list-{number}" for number in range(lists)]
        self._pause = 1 / rate
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._broken: list[BaseException] = []
        #: Values that were acknowledged, by the name of their list.
        self.acknowledged: dict[str, set[str]] = {name: set() for name in self._names}
        #: Values of which it is not known whether they are there, likewise.
        self.doubtful: dict[str, set[str]] = {name: set() for name in self._names}
        #: What clients were told when an append was not acknowledged, and how often.
        self.complaints: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(seed + number)))  # noqa: S311
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        connection = _connect(self._host, self._user, self._password)
        try:
            with connection.cursor() as cursor:
                for statement in _SET_UP:
                    cursor.execute(statement)
                for name in self._names:
                    cursor.execute("INSERT INTO appends.lists VALUES (%s, '')", (name,))
        finally:
            connection.close()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._broken:
            raise self._broken[0]

    @property
    def count(self) -> int:
        """How many appends were acknowledged so far."""
        with self._lock:
            return sum(len(values) for values in self.acknowledged.values())

    def go_on(self, appends: int, seconds: float = 60.0) -> None:
        """Wait until so many more appends were acknowledged.

        Raises:
            TimeoutError: They were not.
        """
        wanted, until = self.count + appends, time.monotonic() + seconds
        while self.count < wanted:
            if time.monotonic() > until or self._broken:
                raise TimeoutError(f"no {appends} appends in {seconds:.0f} s: {self.complaints}")
            time.sleep(0.02)

    def judge(self, content: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the lists of one database, when all clients have ended.

        Args:
            content: Of each list, as :func:`read_lists` returns it.
        """
        wrong = []
        if set(content) != set(self._names):
            wrong.append(f"there are the lists {sorted(content)}")
        for name in sorted(set(self._names) & set(content)):
            found = Counter(content[name].split())
            there = set(found)
            if lost := self.acknowledged[name] - there:
                wrong.append(f"{name} lacks {len(lost)}, such as {sorted(lost)[:5]}")
            if twice := sorted(value for value, times in found.items() if times > 1):
                wrong.append(f"{name} has {twice[:5]} more than once")
            if strange := there - self.acknowledged[name] - self.doubtful[name]:
                wrong.append(f"{name} has {sorted(strange)[:5]}, which nobody appended")
        return wrong

    # -- a client -----------------------------------------------------------------------------

    def _run(self, number: int, chance: random.Random) -> None:
        connection: pymysql.Connection | None = None
        try:
            appended = 0
            while not self._over.wait(self._pause):
                name, appended = chance.choice(self._names), appended + 1
                value = f"{number}.{appended}"
                with self._lock:
                    self.doubtful[name].add(value)
                try:
                    connection = connection or self._connect()
                    with connection.cursor() as cursor:
                        cursor.execute(
                            "UPDATE lists SET content = CONCAT(content, %s) WHERE name = %s",
                            (f"{value} ", name),
                        )
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError) as error:
                    with self._lock:
                        self.complaints[str(error)] += 1
                    if connection is not None and connection.open:
                        connection.close()
                    connection = None
                    self._over.wait(_PAUSE)
                else:
                    with self._lock:
                        self.doubtful[name].remove(value)
                        self.acknowledged[name].add(value)
        except BaseException as error:  # told by whoever ends the clients
            self._broken.append(error)
        finally:
            if connection is not None and connection.open:
                connection.close()

    def _connect(self) -> pymysql.Connection:
        return _connect(self._host, self._user, self._password, _DATABASE)


def is_synced(host: str, user: str, password: str, of: int) -> bool:
    """Return whether a database has all that its cluster has, which has so many members."""
    try:
        connection = _connect(host, user, password)
    except pymysql.err.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'wsrep_%'")
            status = dict(cursor.fetchall())
    except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
        return False
    finally:
        connection.close()
    found = {name: status.get(f"wsrep_{name}") for name in ("local_state", "cluster_size")}
    return found == {"local_state": "4", "cluster_size": str(of)}


def read_lists(host: str, user: str, password: str) -> dict[str, str]:
    """Return the content of each list as one database has it, by the names of the lists."""
    connection = _connect(host, user, password, _DATABASE)
    try:
        with connection.cursor() as cursor:
            # It must have carried out what others did before.
            cursor.execute("SET SESSION wsrep_sync_wait = 1")
            cursor.execute("SELECT name, content FROM lists")
            return {str(name): str(content) for name, content in cursor.fetchall()}
    finally:
        connection.close()


def _connect(host: str, user: str, password: str, database: str = "") -> pymysql.Connection:
    return pymysql.connect(
        host=host,
        user=user,
        password=password,
        database=database or None,
        autocommit=True,
        connect_timeout=5,
        read_timeout=_PATIENCE,
        write_timeout=_PATIENCE,
        ssl_disabled=True,
    )
