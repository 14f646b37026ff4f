"""What databases and balancers measure of themselves, as metric families."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from conpaas.errors import UnreachableError
from conpaas_mysql import galera
from conpaas_mysql.client import session
from conpaas_mysql.donors import in_truth
from conpaas_mysql.haproxy import Haproxy
from conpaas_mysql.mariadb import MariaDb

#: Of each type of statement, the server's counters that belong to it.
_STATEMENTS = {
    "select": ("Com_select",),
    "insert": ("Com_insert", "Com_insert_select", "Com_replace", "Com_replace_select"),
    "update": ("Com_update", "Com_update_multi"),
    "delete": ("Com_delete", "Com_delete_multi"),
}
#: Transactions that were given up because another member was first: found when they were
#: certified, or broken off while they waited.
_CONFLICTS = {"certification": "wsrep_local_cert_failures", "abort": "wsrep_local_bf_aborts"}


def of_database(database: MariaDb) -> Iterator[Metric]:
    """Return what a database measures; of one that does not answer, that it takes no queries."""
    yield from _of_volume(database)
    if began := database.started:
        yield GaugeMetricFamily(
            "conpaas_mysql_started_seconds",
            "When the server was started, in seconds since 1970, to a tenth.",
            value=began,
        )
    told, limit = _ask(database)
    group = in_truth(galera.group_of(told), database.directories.data)
    yield GaugeMetricFamily(
        "conpaas_galera_primary",
        "Whether the database belongs to the primary component of its cluster.",
        value=float(group.is_primary),
    )
    yield GaugeMetricFamily(
        "conpaas_galera_local_state",
        "1 joining, 2 donor, 3 joined, 4 synced; 0 when the server does not answer.",
        value=group.state,
    )
    if told:
        yield GaugeMetricFamily(
            "conpaas_galera_cluster_size", "Databases that it sees.", value=group.size
        )
        yield from _of_work(told, limit)


def _of_volume(database: MariaDb) -> Iterator[Metric]:
    try:
        disk = shutil.disk_usage(database.directories.volume)
    except OSError:
        return  # it is not mounted
    found = GaugeMetricFamily(
        "conpaas_mysql_volume_bytes", "Of the volume with the data.", labels=["kind"]
    )
    found.add_metric(["used"], disk.used)
    found.add_metric(["free"], disk.free)
    yield found


def _ask(database: MariaDb) -> tuple[Mapping[str, str], int]:
    """Return the server's figures and how many connections it takes; nothing if it is silent."""
    import pymysql

    if not database.is_running:
        return {}, 0
    try:
        with session(database.directories.socket) as connection:
            told = connection.status("%")
            limit = int(connection.variable("max_connections"))
            # Galera's means are since it was told so: else a copy of last week counts for ever.
            # Where that has to wait, they reach back to the reading before: no reason to take a
            # database that has told its figures for one that does not answer.
            with contextlib.suppress(pymysql.Error, OSError):
                connection.run("FLUSH LOCAL STATUS")
    except (UnreachableError, pymysql.Error, OSError):
        return {}, 0
    return told, limit


def _of_work(told: Mapping[str, str], limit: int) -> Iterator[Metric]:
    statements = CounterMetricFamily(
        "conpaas_mysql_statements", "Statements carried out, by type.", labels=["type"]
    )
    for kind, names in _STATEMENTS.items():
        statements.add_metric([kind], sum(int(told.get(name, 0)) for name in names))
    conflicts = CounterMetricFamily(
        "conpaas_mysql_conflicts",
        "Transactions given up because another database was first (error 1213).",
        labels=["kind"],
    )
    for kind, name in _CONFLICTS.items():
        conflicts.add_metric([kind], int(told.get(name, 0)))
    yield from (statements, conflicts)
    yield CounterMetricFamily(
        "conpaas_mysql_questions", "Statements from clients.", value=int(told.get("Questions", 0))
    )
    yield GaugeMetricFamily(
        "conpaas_mysql_connections",
        "Connections of clients.",
        value=int(told.get("Threads_connected", 0)),
    )
    yield GaugeMetricFamily(
        "conpaas_mysql_connections_limit", "Connections that it takes at most.", value=limit
    )
    yield GaugeMetricFamily(
        "conpaas_galera_receive_queue",
        "Writes of others that waited to be applied here: the mean since the last reading.",
        value=float(told.get("wsrep_local_recv_queue_avg", 0)),
    )


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
