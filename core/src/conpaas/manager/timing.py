"""What a service does by the clock."""

from __future__ import annotations

from typing import TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.manager.tools import ManagerTools

A = TypeVar("A", bound=ServiceAgent)


class TimingManager(ManagerTools[A]):
    """Says what its time has come for."""

    def due(self) -> str | None:
        """Return the name of an operation without arguments whose time has come, or None.

        Asked every few seconds while the service is RUNNING and has nothing else to do; the job
        that it begins must see to it that its time has not come any more.  What overrides it
        returns what super says when its own time has not come.
        """
        return None
