"""What a manager tells: users what happened to the cluster, other services where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from conpaas.manager.base import Node
from conpaas_mysql.faults import READY_STATES, Picture, name_of, position_of
from conpaas_mysql.parts import MYSQL_PORT, USER, data_volume
from conpaas_mysql.reviving import RevivingManager
from conpaas_mysql.settings import MB, MysqlConfig

if TYPE_CHECKING:
    # Clients import this file, and compute nothing.
    from conpaas.features.monitoring.samples import Series

    Figures = Mapping[str, dict[Series, float]]

#: What agents measure, of which a change means that the cluster must be looked at.
PRIMARY: Series = ("conpaas_galera_primary", ())
STATE: Series = ("conpaas_galera_local_state", ())
STARTED: Series = ("conpaas_mysql_started_seconds", ())
FREE: Series = ("conpaas_mysql_volume_bytes", (("kind", "free"),))
USED: Series = ("conpaas_mysql_volume_bytes", (("kind", "used"),))
#: The part of a volume that should be free; and that is, when it was short and is not any more.
_SHORT, _ROOMY = 0.1, 0.12


class TellingManager(RevivingManager):
    """Notes in the history what happened, and publishes the address.

    Given to you:
        ``tell(picture, config, planned, away)``, ``address_node()``.
    """

    def kept_metrics(self) -> frozenset[str]:
        """Return what the manager looks at beside the charts."""
        return super().kept_metrics() | {s[0] for s in (PRIMARY, STATE, STARTED, FREE, USED)}

    def is_outdated(self) -> bool:
        """Whether something happened to a database since it was looked at, or is left to do."""
        if super().is_outdated() or self.noted.is_unsettled:
            return True
        rounds = [r for r in self.place.samples.recent(2) if r[0] > self.store.get("told", 0.0)]
        if not rounds:
            return False
        figures = rounds[0][1]
        away = self._seen_away(figures)
        there = {name_of(node) for node in self.databases if node.id in figures}
        if there and there <= away:
            return len(rounds) > 1 and there <= self._seen_away(rounds[1][1])
        if self.noted.away - away or self._seen_short(figures) != self.noted.short:
            return True
        # Twice: one that is killed is back by itself before long, and one under load may be late.
        if len(rounds) > 1 and (away & self._seen_away(rounds[1][1])) - self.noted.away:
            return True
        return any(self._was_started(node, figures.get(node.id, {})) for node in self.databases)

    def address_node(self, databases: Iterable[Node] | None = None) -> Node | None:
        """Return the node that the service is reached at: a balancer, else a database, if any.

        Who has the address that was published keeps it while it is there.
        """
        ready = [n for n in self.databases if databases is None or n in databases]
        candidates = self.balancers or ready
        published = self.store.get("published", "")
        return next(
            (node for node in candidates if node.address == published),
            next(iter(candidates), None),
        )

    def tell(
        self,
        picture: Picture,
        config: MysqlConfig,
        planned: Collection[str],
        away: Collection[str],
    ) -> None:
        """Note what happened since the last time, and publish where the service is.

        Args:
            picture: Of all databases.
            config: The settings.
            planned: Names of databases that were started on purpose.
            away: Names of those that run, and are cut off from the others.
        """
        self._tell_starts(picture, planned)
        self._tell_away(picture, away)
        self._tell_space(picture)
        self._tell_troubles(picture)
        used = max((picture.statuses[name].used for name in picture.primary), default=0)
        self.store["transfer"] = "mariabackup" if used > config.mariabackup_above * MB else "rsync"
        self.publish_address([picture.nodes[name] for name in picture.primary])
        self.store["told"] = self.place.samples.now()

    def publish_address(self, databases: Iterable[Node]) -> None:
        """Publish where the service is, if it is anywhere."""
        node = self.address_node(list(databases))
        if node is None:
            return
        self.store["published"] = node.address
        self.publish(
            {"MYSQL_HOST": node.address, "MYSQL_PORT": str(MYSQL_PORT), "MYSQL_USER": USER}
        )

    def unpublish(self) -> None:
        """Take back what was published."""
        self.store["published"] = ""
        self.publish({})

    def _tell_starts(self, picture: Picture, planned: Collection[str]) -> None:
        started = self.noted.started
        for name in picture.primary:
            node, since = picture.nodes[name], picture.statuses[name].started
            before = started.get(name)
            if before is not None and before != (node.id, since) and name not in planned:
                if before[0] == node.id:
                    self.place.note(f"{picture.label(name)} had stopped: it has rejoined")
                else:
                    self.place.note(f"{picture.label(name)} is back, on {node.id}")
            started[name] = (node.id, since)
        names = {name_of(node) for node in self.place.nodes.all() if node.role == "mysql"}
        self.noted.started = {name: pair for name, pair in started.items() if name in names}

    def _tell_away(self, picture: Picture, away: Collection[str]) -> None:
        for name in sorted(set(away) - self.noted.away):
            trouble = picture.statuses[name].trouble if name in picture.statuses else ""
            why = trouble or "it is cut off from the others"
            self.place.note(f"{picture.label(name)} takes no queries: {why}")
        for name in sorted(self.noted.away - set(away)):
            if name in picture.primary:
                self.place.note(f"{picture.label(name)} takes queries again")
        self.noted.away = away

    def _tell_troubles(self, picture: Picture) -> None:
        # Of those that are away it is said why; how much room there is, is told apart.
        troubles = {
            name: status.trouble
            for name, status in picture.statuses.items()
            if status.trouble and name not in self.noted.away and name not in self.noted.short
        }
        before = self.noted.troubles
        for name in sorted(troubles.keys() - before.keys()):
            self.place.note(f"{picture.label(name)}: {troubles[name]}")
        for name in sorted((before.keys() - troubles.keys()) & set(picture.ready)):
            self.place.note(f"{picture.label(name)} is well again")
        self.noted.troubles = troubles

    def _tell_space(self, picture: Picture) -> None:
        short = self._seen_short(self.place.samples.latest()[1])
        for name in sorted(short - self.noted.short):
            free = picture.statuses[name].free // MB if name in picture.statuses else 0
            volume = data_volume(self.number, position_of(name))
            self.place.note(
                f"the volume {volume} of {picture.label(name)} has {free} MB left: grow it, or "
                "delete data"
            )
        for name in sorted(self.noted.short - short):
            self.place.note(f"the volume of {picture.label(name)} has room again")
        self.noted.short = short

    # -- what was measured --------------------------------------------------------------------

    def _seen_away(self, figures: Figures) -> frozenset[str]:
        """Return the names of the databases that take no queries; the silent are the core's."""
        return frozenset(
            name_of(node)
            for node in self.databases
            if (found := figures.get(node.id)) is not None
            and (found.get(PRIMARY) != 1 or found.get(STATE) not in READY_STATES)
        )

    def _seen_short(self, figures: Figures) -> frozenset[str]:
        """Return the names of the databases whose volumes are nearly full."""
        names = set()
        for node in self.databases:
            name, found = name_of(node), figures.get(node.id, {})
            if FREE not in found or USED not in found:
                short = name in self.noted.short
            else:
                share = _ROOMY if name in self.noted.short else _SHORT
                short = found[FREE] < share * (found[FREE] + found[USED])
            names |= {name} if short else set()
        return frozenset(names)

    def _was_started(self, node: Node, found: dict[Series, float]) -> bool:
        known = self.noted.started.get(name_of(node), ("", 0.0))[1]
        return bool(known) and STARTED in found and found[STARTED] != known
