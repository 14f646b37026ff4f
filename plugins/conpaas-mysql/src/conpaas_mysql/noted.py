"""What a manager notes of its cluster: by this it knows, after anything, what there must be."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from conpaas.errors import AgentError


class Noted:
    """The notes of one cluster, in the service's store: they outlast the manager's machine.

    Args:
        store: Of the service.
    """

    def __init__(self, store: MutableMapping[str, Any]) -> None:
        self._store = store

    @property
    def cluster(self) -> str:
        """Galera's id of the cluster's state; empty before there is one."""
        return str(self._store.get("cluster", ""))

    @property
    def least(self) -> int:
        """The last transaction that was seen in the cluster; -1 before there is one."""
        return int(self._store.get("least", -1))

    def see(self, cluster: str, position: int) -> None:
        """Note how far the cluster is.

        Raises:
            AgentError: It is another one than there must be.
        """
        if not cluster:
            return
        if not self.cluster:
            self._store["cluster"] = cluster
        elif cluster != self.cluster:
            raise AgentError(
                f"a database belongs to the cluster {cluster}, which is not that of this service "
                f"({self.cluster}): nothing is done to either"
            )
        if position > self.least:
            self._store["least"] = position

    @property
    def members(self) -> frozenset[str]:
        """Names of the databases that may have data of the cluster."""
        return frozenset(self._store.get("members", []))

    def add_member(self, name: str) -> None:
        """Note a database, before it gets any data."""
        if name not in self.members:
            self._store["members"] = sorted({*self.members, name})
        self._drop_empty(name)

    def drop_member(self, name: str) -> None:
        """Note that a database has no data any more, and no volume."""
        self._drop_empty(name)
        self._store["members"] = sorted(self.members - {name})
        self._store["left"] = {n: at for n, at in self.left.items() if n != name}

    @property
    def empty(self) -> frozenset[str]:
        """Names of the databases whose volumes were made new, and have no data yet."""
        return frozenset(self._store.get("empty", []))

    def add_empty(self, name: str) -> None:
        """Note a database before its volume is made: one that never gets data leaves none."""
        if name not in self.members | self.empty:
            self._store["empty"] = sorted({*self.empty, name})

    def _drop_empty(self, name: str) -> None:
        if name in self.empty:
            self._store["empty"] = sorted(self.empty - {name})

    @property
    def left(self) -> dict[str, int]:
        """How far each database was when it stopped in order, by name; -1: it had no data."""
        return dict(self._store.get("left", {}))

    def leave(self, name: str, position: int) -> None:
        """Note how far a database was when it stopped."""
        self._store["left"] = {**self.left, name: position}

    def forget_left(self) -> None:
        """Forget that, before any of them is started: it goes on from there."""
        if self.left:
            self._store["left"] = {}

    @property
    def is_unsettled(self) -> bool:
        """Whether something is left to do."""
        return bool(self._store.get("unsettled", False))

    @is_unsettled.setter
    def is_unsettled(self, value: bool) -> None:
        if value != self.is_unsettled:
            self._store["unsettled"] = value

    @property
    def started(self) -> dict[str, tuple[str, float]]:
        """On which node each database ran when it was last seen, and since when, by name."""
        noted = self._store.get("started", {})
        return {name: (node, since) for name, (node, since) in noted.items()}

    @started.setter
    def started(self, value: dict[str, tuple[str, float]]) -> None:
        plain = {name: list(pair) for name, pair in value.items()}
        if plain != self._store.get("started", {}):
            self._store["started"] = plain

    def expect_start(self, name: str) -> None:
        """Note that a database is stopped on purpose: that it starts again is nothing to tell."""
        self.started = {other: pair for other, pair in self.started.items() if other != name}

    @property
    def away(self) -> frozenset[str]:
        """Names of databases known to run without being part of the cluster."""
        return frozenset(self._store.get("away", []))

    @away.setter
    def away(self, names: Iterable[str]) -> None:
        if frozenset(names) != self.away:
            self._store["away"] = sorted(names)

    @property
    def troubles(self) -> dict[str, str]:
        """What was wrong with databases when it was last looked, by name."""
        return dict(self._store.get("troubles", {}))

    @troubles.setter
    def troubles(self, value: dict[str, str]) -> None:
        if value != self.troubles:
            self._store["troubles"] = value

    @property
    def short(self) -> frozenset[str]:
        """Names of the databases whose volumes are nearly full."""
        return frozenset(self._store.get("short", []))

    @short.setter
    def short(self, names: Iterable[str]) -> None:
        if frozenset(names) != self.short:
            self._store["short"] = sorted(names)

    @property
    def balanced(self) -> frozenset[str]:
        """Names of the databases that the balancers know."""
        return frozenset(self._store.get("balanced", []))

    @balanced.setter
    def balanced(self, names: Iterable[str]) -> None:
        if frozenset(names) != self.balanced:
            self._store["balanced"] = sorted(names)

    @property
    def mounted(self) -> dict[str, int]:
        """The machine that each data volume was brought to, by the volume's name."""
        return dict(self._store.get("mounted", {}))

    @mounted.setter
    def mounted(self, value: dict[str, int]) -> None:
        if value != self.mounted:
            self._store["mounted"] = value
