"""What databases and balancers measure of themselves, as metric families."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from conpaas.errors import UnreachableError
from conpaas_mysql.haproxy import Haproxy


def of_balancer(haproxy: Haproxy) -> Iterator[Metric]:
    """Return what a balancer measures; nothing of one that does not run just now."""
    try:
        states, clients = haproxy.states(), haproxy.clients()
    except UnreachableError:
        return
    yield GaugeMetricFamily(
        "conpaas_glb_clients", "Connections of clients to the balancer.", value=clients
    )
    now = GaugeMetricFamily(
        "conpaas_glb_connections", "Connections to a database.", labels=["server"]
    )
    ever = CounterMetricFamily(
        "conpaas_glb_sessions", "Connections that a database has been sent.", labels=["server"]
    )
    is_up = GaugeMetricFamily(
        "conpaas_glb_server_up", "Whether a database passes its health check.", labels=["server"]
    )
    for name, state in sorted(states.items()):
        now.add_metric([name], state.connections)
        ever.add_metric([name], state.total)
        is_up.add_metric([name], float(state.is_up))
    yield from (now, ever, is_up)
