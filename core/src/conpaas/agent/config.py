"""What an agent is told when its machine joins: ``/etc/conpaas/agent.toml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AgentSection:
    """Who this agent is, and where its director is."""

    deployment: str
    director_url: str
    owner: int
    application: int
    service: int
    service_type: str
    machine: int
    node: str
    role: str
    address: str


@dataclass(frozen=True)
class AgentConfig:
    """The whole file."""

    agent: AgentSection
