"""Programs that are kept running: ours, and the software that agents start.

:class:`Supervisor` has s6 do it, so that what runs outlives whoever asked for it;
:class:`ProcessSupervisor` does the same with plain child processes, for places without s6.
"""

from conpaas.supervisor.base import BaseSupervisor
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.supervisor.s6 import Supervisor

__all__ = ["BaseSupervisor", "ProcessSupervisor", "Supervisor"]
