"""What the nodes of a rehearsal measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from conpaas_mysql.parts import DatabaseStatus

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def of_database(status: DatabaseStatus) -> Iterator[Metric]:
    """Return what the manager of a database looks at."""
    from prometheus_client.core import GaugeMetricFamily

    yield from gauges(
        {
            "conpaas_galera_primary": float(status.is_primary),
            "conpaas_galera_local_state": status.state,
            "conpaas_mysql_started_seconds": status.started,
        }
    )
    volume = GaugeMetricFamily("conpaas_mysql_volume_bytes", "Rehearsed.", labels=["kind"])
    volume.add_metric(["free"], status.free)
    volume.add_metric(["used"], status.used)
    yield volume


def gauges(figures: Mapping[str, float]) -> Iterator[Metric]:
    """Return gauges without labels, by name."""
    from prometheus_client.core import GaugeMetricFamily

    for name, value in figures.items():
        yield GaugeMetricFamily(name, "Rehearsed.", value=value)
