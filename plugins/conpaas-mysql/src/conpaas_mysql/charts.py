"""What is worth a chart of a cluster, and what of a node counts as abnormal."""

from __future__ import annotations

from conpaas.features.monitoring.charts import NODE, Chart, Gauge, Rate

STATEMENTS = "conpaas_mysql_statements_total"
QUESTIONS = "conpaas_mysql_questions_total"
CONNECTIONS = "conpaas_mysql_connections"
CONNECTIONS_LIMIT = "conpaas_mysql_connections_limit"
CONFLICTS = "conpaas_mysql_conflicts_total"
QUEUE = "conpaas_galera_receive_queue"
PRIMARY = "conpaas_galera_primary"
STATE = "conpaas_galera_local_state"
STARTED = "conpaas_mysql_started_seconds"
VOLUME = "conpaas_mysql_volume_bytes"
CLIENTS = "conpaas_glb_clients"
SERVER_CONNECTIONS = "conpaas_glb_connections"
SESSIONS = "conpaas_glb_sessions_total"
SERVER_UP = "conpaas_glb_server_up"
CPU = "conpaas_node_cpu_seconds_total"
CPUS = "conpaas_node_cpus"
MEMORY = "conpaas_node_memory_bytes"
MEMORY_LIMIT = "conpaas_node_memory_limit_bytes"
NETWORK = "conpaas_node_network_bytes_total"
DISK = "conpaas_node_disk_bytes"
DISK_LIMIT = "conpaas_node_disk_limit_bytes"

#: What a manager looks at, in a chart or not.
LOOKED_AT = frozenset(
    {
        *(QUESTIONS, CONNECTIONS, CONNECTIONS_LIMIT, QUEUE, PRIMARY, STATE, STARTED, VOLUME),
        *(CLIENTS, SERVER_CONNECTIONS, SESSIONS, SERVER_UP),
        *(CPU, CPUS, MEMORY, MEMORY_LIMIT, NETWORK, DISK, DISK_LIMIT),
    }
)


def charts() -> tuple[Chart, ...]:
    """Return the charts of a cluster."""
    return (
        Chart("Statements", "per second", (Rate(STATEMENTS, by="type"),)),
        Chart(
            "Galera mean misalignment",
            "writes waiting",
            (Gauge(QUEUE, of="mean", label="mean of all"), Gauge(QUEUE, by=NODE)),
        ),
        Chart(
            "Connections",
            "open",
            (
                Gauge(CONNECTIONS, by=NODE, label="to"),
                Gauge(CLIENTS, by=NODE, label="through"),
            ),
            at_least=10.0,
        ),
        Chart("Conflicts", "per second", (Rate(CONFLICTS, by="kind"),)),
    )
