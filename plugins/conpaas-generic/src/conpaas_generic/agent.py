"""The part of the generic service that runs on each node."""

from __future__ import annotations

from conpaas.agent.base import ServiceAgent


class GenericAgent(ServiceAgent):
    """Runs the user's scripts."""
