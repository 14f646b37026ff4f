"""How each node of a cluster is doing: the performance monitor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from conpaas.manager.nodes import Node, NodeState
from conpaas.schema import DETAIL
from conpaas_mysql import charts

if TYPE_CHECKING:
    # Clients import this file, and compute nothing.
    from conpaas.features.monitoring.samples import Series

#: Above these it says of a node that something is abnormal.
MOST_CPU = 85.0  #: %
MOST_MEMORY = 75.0  #: %
MOST_DISK = 85.0  #: %
MOST_CONNECTIONS = 85.0  #: % of those that a database takes
#: Writes of others that wait: Galera slows all down from about 16 on.
MOST_QUEUE = 8.0
SYNCED, DONOR = 4, 2
_STATES = {1: "joining", DONOR: "giving a copy", 3: "catching up", SYNCED: "synced"}


@dataclass(frozen=True)
class NodePerformance:
    """A row of ``get_performance``; None is not known.

    Args:
        node: Its id.
        role: ``mysql`` or ``glb``.
        address: Of its machine.
        state: In words: ``synced``.
        cpu: How much of its processors is used, in %.
        memory: How much of its memory is used, in %.
        disk: How much of the fullest of its file systems is used, in %.
        network_in: kB that come in, each second.
        network_out: kB that go out, each second.
        queries: Statements from clients, each second; of a balancer new connections.
        connections: That are open now.
        queue: Writes of the others that wait to be applied here.
        abnormal: What is abnormal, and why; empty when nothing is.
        marked: Names of the fields above whose values are abnormal.
    """

    node: str
    role: str
    address: Annotated[str, DETAIL]
    state: str
    cpu: float | None = None
    memory: float | None = None
    disk: float | None = None
    network_in: float | None = None
    network_out: float | None = None
    queries: float | None = None
    connections: int | None = None
    queue: float | None = None
    abnormal: tuple[str, ...] = ()
    marked: Annotated[tuple[str, ...], DETAIL] = ()


@dataclass(frozen=True)
class Rates:
    """What rose how fast on a node in the last minute, each second; None is not known."""

    cpu: float | None = None
    network_in: float | None = None
    network_out: float | None = None
    queries: float | None = None
    sessions: float | None = None


def performance_of(
    node: Node, figures: Mapping[Series, float] | None, rates: Rates
) -> NodePerformance:
    """Return how a node is doing.

    Args:
        node: Whose figures these are.
        figures: What it said in the last round; None: it did not answer.
        rates: Of it.
    """
    if node.state is NodeState.LOST:
        told = ("state", "the node does not answer: it is replaced, or repair the service")
        return _row(node, "lost", [told])
    if figures is None:
        return _row(node, "no figures", [("state", "nothing was measured in the last round")])
    found = _Figures(figures)
    cpu = _percent(rates.cpu, found.one(charts.CPUS))
    memory = _percent(found.one(charts.MEMORY), found.one(charts.MEMORY_LIMIT))
    mount, disk = found.fullest()
    is_database = found.one(charts.PRIMARY) is not None
    queue = found.one(charts.QUEUE)
    connections = found.one(charts.CONNECTIONS if is_database else charts.CLIENTS)
    taken = _percent(connections, found.one(charts.CONNECTIONS_LIMIT))
    state = _state(node, found)
    complaints = [
        *_state_complaints(node, found, state),
        *_above("cpu", "the processors are busy", cpu, MOST_CPU, "%"),
        *_above("memory", "memory is short", memory, MOST_MEMORY, "%"),
        *_above("disk", f"{mount} is filling up", disk, MOST_DISK, "%"),
        *_above("connections", "few connections are left", taken, MOST_CONNECTIONS, "%"),
        *_above("queue", "it lags behind the others", queue, MOST_QUEUE, " writes waiting"),
    ]
    return _row(
        node,
        state,
        complaints,
        cpu=_rounded(cpu),
        memory=_rounded(memory),
        disk=_rounded(disk),
        network_in=_rounded(_kilo(rates.network_in)),
        network_out=_rounded(_kilo(rates.network_out)),
        queries=_rounded(rates.queries if is_database else rates.sessions),
        connections=None if connections is None else int(connections),
        queue=_rounded(queue),
    )


class _Figures:
    """What a node said, by name."""

    def __init__(self, figures: Mapping[Series, float]) -> None:
        self._figures = figures

    def one(self, name: str) -> float | None:
        return self._figures.get((name, ()))

    def by(self, name: str) -> dict[str, float]:
        """Return the values of a metric with one label, by the label."""
        return {
            labels[0][1]: value
            for (other, labels), value in self._figures.items()
            if other == name and labels
        }

    def fullest(self) -> tuple[str, float | None]:
        """Return where the file system is mounted that is fullest, and how full it is, in %."""
        used, limits = self.by(charts.DISK), self.by(charts.DISK_LIMIT)
        shares = {
            mount: share
            for mount, value in used.items()
            if (share := _percent(value, limits.get(mount))) is not None
        }
        if not shares:
            return "", None
        mount = max(sorted(shares), key=lambda one: shares[one])
        return mount, shares[mount]


def _state(node: Node, found: _Figures) -> str:
    if node.state is NodeState.LEAVING:
        return "leaving"
    if (primary := found.one(charts.PRIMARY)) is not None:
        state = int(found.one(charts.STATE) or 0)
        if not state:
            return "does not answer"
        return _STATES.get(state, f"state {state}") if primary else "cut off"
    return "does not run" if found.one(charts.CLIENTS) is None else "balancing"


def _state_complaints(node: Node, found: _Figures, state: str) -> Iterator[tuple[str, str]]:
    if state == "leaving":
        return
    if state == "does not answer":
        yield "state", "the database does not answer, or does not run"
    elif state == "cut off":
        yield "state", "the database has lost most of the others: it takes no queries"
    elif state == "giving a copy":
        yield "state", "another database gets a copy of its data: that may slow it down"
    elif state == "does not run":
        part = "balancer" if node.role == "glb" else "database"
        yield "state", f"no {part} runs on it"
    elif state not in ("synced", "balancing"):
        yield "state", "the database is not synced yet: it takes no queries"
    down = [name for name, is_up in sorted(found.by(charts.SERVER_UP).items()) if not is_up]
    if down:
        yield "state", f"gives no connections to {', '.join(down)}: its health check fails"


def _above(
    field: str, what: str, value: float | None, limit: float, unit: str
) -> Iterator[tuple[str, str]]:
    if value is not None and value > limit:
        yield field, f"{what}: {value:.0f}{unit}, above {limit:.0f}"


def _row(
    node: Node, state: str, complaints: list[tuple[str, str]], **values: float | int | None
) -> NodePerformance:
    return NodePerformance(
        node=node.id,
        role=node.role,
        address=node.address,
        state=state,
        abnormal=tuple(sentence for _, sentence in complaints),
        marked=tuple(dict.fromkeys(field for field, _ in complaints)),
        **values,  # type: ignore[arg-type] # only named figures are handed in
    )


def _percent(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100.0 * part / whole


def _kilo(value: float | None) -> float | None:
    return None if value is None else value / 1000.0


def _rounded(value: float | None) -> float | None:
    """Leave out what only looks exact."""
    return None if value is None else float(f"{value:.3g}")
