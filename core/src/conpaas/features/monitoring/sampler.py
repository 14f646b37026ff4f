"""Asks all nodes for their figures, again and again."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from conpaas.errors import ConPaaSError
from conpaas.features.monitoring.charts import MACHINES
from conpaas.features.monitoring.exposition import Reader, merged, read
from conpaas.features.monitoring.samples import Sample, Samples, Series
from conpaas.manager.nodes import Node
from conpaas.state import State

logger = logging.getLogger(__name__)


class Service(Protocol):
    """A service whose nodes are asked."""

    number: int
    manager: Any

    def state(self) -> State:
        """Return its state."""


class Ways(Protocol):
    """How nodes are reached."""

    def metrics(self, nodes: Sequence[Node]) -> list[bytes | ConPaaSError]:
        """Return what nodes answer, or why they do not."""


@dataclass(frozen=True)
class Latest:
    """What a node said last; ``text`` is None when it did not answer, or nonsense."""

    service: int
    node: Node
    text: bytes | None


class Sampler:
    """Asks the nodes of all services that run.

    Args:
        services: Returns them.
        ways: To their nodes.
        samples: Gets what they say.
        every: Seconds between two rounds.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        services: Callable[[], Iterable[Service]],
        ways: Ways,
        samples: Samples,
        every: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._services = services
        self._ways = ways
        self._samples = samples
        self._every = every
        self.clock = clock
        self._latest: list[Latest] = []
        self._complained: dict[str, str] = {}
        self._reader = Reader()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to ask, on a thread."""
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def _run(self) -> None:
        # By the clock and not by the pause: a slow round must not make the next one late.
        next_round = time.monotonic()
        while not self._stopped.wait(max(0.0, next_round - time.monotonic())):
            next_round = max(next_round + self._every, time.monotonic())
            try:
                self.round()
            except Exception:
                logger.exception("a round of sampling failed")

    def round(self) -> None:
        """Ask every node once and note what it says."""
        asked = [
            (service, node, names)
            for service in self._services()
            if service.state() in (State.RUNNING, State.ADAPTING)
            for names in [self._names(service)]
            for node in service.manager.nodes
        ]
        answers = self._ways.metrics([node for _, node, _ in asked])
        now = self.clock()
        latest, samples = [], []
        for (service, node, names), answer in zip(asked, answers, strict=True):
            found = self._read(node, answer, names)
            if found is None or isinstance(answer, ConPaaSError):
                latest.append(Latest(service.number, node, None))
                continue
            latest.append(Latest(service.number, node, answer))
            layout, values = self._samples.layout(found), array("d", found.values())
            samples.append(Sample(node.id, service.number, node.role, layout, values))
        self._latest = latest
        self._forget_complaints({node.id for _, node, _ in asked})
        try:
            self._samples.add(now, samples)
        except sqlite3.Error as error:
            self._complain("samples", f"they are kept in memory only: {error}")
        else:
            self._complained.pop("samples", None)

    def collect(self) -> Iterator[Metric]:
        """Return what all nodes said last, with the labels ``service``, ``node`` and ``role``."""
        latest = self._latest
        up = GaugeMetricFamily(
            "conpaas_node_up",
            "Whether the node answered when it was last asked.",
            labels=["service", "node", "role"],
        )
        for one in latest:
            up.add_metric(list(_labels(one).values()), float(one.text is not None))
        yield up
        yield from merged((_labels(one), self._families(one)) for one in latest)

    def _names(self, service: Service) -> frozenset[str]:
        try:
            charts = service.manager.charts()
            kept: frozenset[str] = service.manager.kept_metrics()
            return kept.union(*(chart.metrics for chart in charts))
        except Exception as error:
            # A plugin's code: the machines are watched all the same.
            self._complain(
                f"service {service.number}", f"what it measures cannot be told: {error}"
            )
            return frozenset[str]().union(*(chart.metrics for chart in MACHINES))

    def _families(self, one: Latest) -> list[Metric]:
        if one.text is None:
            return []
        try:
            return read(one.text)
        except ConPaaSError as error:
            # Its samples were read; what is said about them cannot be.
            self._complain(one.node.id, str(error))
            return []

    def _read(
        self, node: Node, answer: bytes | ConPaaSError, names: frozenset[str]
    ) -> dict[Series, float] | None:
        try:
            if isinstance(answer, ConPaaSError):
                raise answer
            found = self._reader.values(answer, names)
        except ConPaaSError as error:
            self._complain(node.id, str(error))
            return None
        self._complained.pop(node.id, None)
        return found

    def _complain(self, about: str, words: str) -> None:
        if self._complained.get(about) != words:
            self._complained[about] = words
            logger.warning("no figures of %s: %s", about, words)

    def _forget_complaints(self, nodes: set[str]) -> None:
        gone = {one for one in self._complained if one.startswith("node-")} - nodes
        for one in gone:
            del self._complained[one]


def _labels(one: Latest) -> dict[str, str]:
    return {"service": str(one.service), "node": one.node.id, "role": one.node.role}
