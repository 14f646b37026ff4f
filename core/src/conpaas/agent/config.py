"""What an agent is told when its machine joins: ``/etc/conpaas/agent.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class AgentSection:
    """Who this agent is, and where its director is."""

    deployment: Annotated[str, "Name of the director's deployment"]
    director_url: Annotated[str, "Where the director is"]
    owner: Annotated[int, "Number of the user whose application this is"]
    application: Annotated[int, "Number of the application"]
    service: Annotated[int, "Number of the service in its application"]
    service_type: Annotated[str, "Its type"]
    machine: Annotated[int, "The director's number of this machine"]
    node: Annotated[str, "Id of this node, as users type it"]
    role: Annotated[str, "Of this node"]
    address: Annotated[str, "Of this machine"]


@dataclass(frozen=True)
class AgentConfig:
    """The whole file."""

    agent: AgentSection
