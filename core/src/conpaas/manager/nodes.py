"""The nodes of a service, as its manager knows them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class NodeState(enum.StrEnum):
    """Where a node is in its life."""

    JOINING = "joining"  #: its machine is there, its agent has not answered yet
    READY = "ready"
    LOST = "lost"  #: it does not answer any more
    LEAVING = "leaving"  #: it is being drained; its machine goes next


@dataclass(frozen=True)
class Node:
    """A machine of a service.

    ``id`` is what users type (``agent_id``); ``machine`` is the director's number of the machine.
    ``created`` is in seconds since 1970, UTC.  ``position`` counts the nodes of its role from 0;
    who replaces a node has its position.
    """

    id: str
    role: str
    address: str
    cloud: str
    machine: int
    state: NodeState = NodeState.READY
    created: float = 0.0
    position: int = 0


@dataclass(frozen=True)
class NodeInfo:
    """A row of ``list_nodes``; ``role`` names all that it plays now, its machine's own first."""

    aid: int
    sid: int
    role: str
    ip: str
    agent_id: str
    cloud: str
    state: str

    @property
    def machine_role(self) -> str:
        """The role that its machine was made for, by which nodes are added and removed."""
        return self.role.partition(",")[0]
