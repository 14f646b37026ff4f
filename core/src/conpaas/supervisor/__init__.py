"""Programs that are kept running: ours, and the software that agents start.

:class:`~conpaas.supervisor.s6.Supervisor` has s6 do it, so that what runs outlives whoever asked
for it; :class:`~conpaas.supervisor.process.ProcessSupervisor` does the same with plain child
processes, for places without s6.  What both can do is in :mod:`conpaas.supervisor.base`.
"""
