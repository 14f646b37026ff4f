"""The panel of volumes: what each node has, and the form for another."""

from __future__ import annotations

from conpaas.frontend.fields import Choice
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel

OPERATIONS = (
    "create_volume",
    "list_volumes",
    "attach_volume",
    "detach_volume",
    "grow_volume",
    "delete_volume",
)
#: States of volumes that are about to be others.
PASSING = ("creating", "deleting")


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service whose nodes may have volumes; nothing for others."""
    if not service.has("create_volume") or not service.is_reachable:
        return []
    volumes = service.manager.list_volumes()
    nodes = [node for node in service.nodes if node.state == "ready"]
    add = service.form(
        "create_volume",
        mark="volume",
        submit="Create volume",
        choices={"agent_id": [Choice(n.agent_id, f"{n.role} {n.ip}") for n in nodes]},
    )
    labels = {"vol_name": "Name", "vol_size": "Size in MB", "agent_id": "Node"}
    for one in add.fields:
        one.label = labels[one.name]
        if one.name == "vol_size":
            one.help = "Some clouds round it up to whole GB"
        elif one.name == "agent_id":
            one.help = "It is mounted there, at /media/ and its name"
    return [
        Panel(
            title="Volumes",
            template="volumes/volumes.html",
            values={
                "by_node": [(n, [v for v in volumes if v.agent_id == n.agent_id]) for n in nodes],
                "apart": [v for v in volumes if not v.agent_id],
                "any_volume": bool(volumes),
                "nodes": nodes,
                "add": add,
                "may_add": service.allows("create_volume") and bool(nodes),
                "may_detach": service.allows("detach_volume"),
                "may_grow": service.allows("grow_volume"),
                "may_delete": service.allows("delete_volume"),
            },
            operations=OPERATIONS,
            busy=any(volume.state in PASSING for volume in volumes),
            order=30,
        )
    ]
