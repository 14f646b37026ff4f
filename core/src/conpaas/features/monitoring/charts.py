"""What is worth a chart: values that a service's manager declares.

Metrics are named and mean what they do in Prometheus: a counter only rises (and begins anew when
its process does), a histogram is made of counters, a gauge is what it is just now.

A line with ``by`` is several: one for each ``node``, each ``role``, or each value of a label of
the metric.  Without it, it is the sum over all nodes and labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

NODE = "node"  #: ``by`` of a line for each node
ROLE = "role"  #: ``by`` of a line for each role


@dataclass(frozen=True)
class Line:
    """A line of a chart, or several: use the classes below.

    Args:
        metric: Its name; of a histogram without ``_bucket``.
        by: One line for each of these: ``node``, ``role``, or a label's name; empty: one line.
        where: Only what has these values of its labels: ``{"code": "5xx"}``.
        label: Its name in the chart; default: that of the chart, or what ``by`` says.
        times: Factor from the metric's unit to the chart's: 1000 from seconds to milliseconds.
    """

    metric: str
    by: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    times: float = 1.0

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the samples that it is made of."""
        return frozenset({self.metric})


@dataclass(frozen=True)
class Rate(Line):
    """How fast a counter rises, each second."""


@dataclass(frozen=True)
class Gauge(Line):
    """What a gauge says.

    Args:
        of: What is said of several nodes: their sum, their mean, or the highest.
    """

    of: Literal["sum", "mean", "highest"] = "sum"


@dataclass(frozen=True)
class Quantile(Line):
    """A quantile of what a histogram has observed, such as the response time of 95 % of requests.

    Args:
        q: From 0 to 1.
    """

    q: float = 0.95

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the samples that it is made of."""
        return frozenset({f"{self.metric}_bucket"})


@dataclass(frozen=True)
class Ratio:
    """One thing divided by another; there is none where the other is 0 or unknown.

    Args:
        part: What is divided: its ``by`` counts for the whole.
        whole: By what; without ``by`` of its own it is the same for all lines of the part.
        label: As of other lines.
        times: As of other lines; 100 for a percentage.
    """

    part: Rate | Gauge
    whole: Rate | Gauge
    label: str = ""
    times: float = 1.0

    @property
    def by(self) -> str:
        """What it is a line for each of."""
        return self.part.by

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the samples that it is made of."""
        return self.part.metrics | self.whole.metrics


@dataclass(frozen=True)
class Chart:
    """A chart of a service.

    Args:
        title: Above it, also the name of a single line: ``Requests``.
        unit: Of its values: ``per second``, ``ms``, ``%``.
        lines: What it shows.
        at_least: Its axis reaches at least that far.
    """

    title: str
    unit: str
    lines: tuple[Line | Ratio, ...]
    at_least: float = 1.0

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the samples that it is made of."""
        return frozenset[str]().union(*(line.metrics for line in self.lines))


#: What every service shows: its machines.
MACHINES = (
    Chart(
        "Processor",
        "%",
        (
            Ratio(
                Rate("conpaas_node_cpu_seconds_total", by=NODE),
                Gauge("conpaas_node_cpus", by=NODE),
                times=100.0,
            ),
        ),
        at_least=100.0,
    ),
    Chart("Memory", "MB", (Gauge("conpaas_node_memory_bytes", by=NODE, times=1e-6),), at_least=64),
)
