"""The part of the generic service that runs on the application's manager."""

from __future__ import annotations

from typing import ClassVar

from conpaas.manager.base import Node, ServiceManager
from conpaas_generic.agent import GenericAgent


class GenericManager(ServiceManager[GenericAgent]):
    """Directs the nodes that run the user's scripts."""

    first_roles: ClassVar[tuple[str, ...]] = ("master",)

    def on_start(self, nodes: list[Node]) -> None:
        """Make the first nodes serve."""
