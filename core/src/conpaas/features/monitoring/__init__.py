"""Monitoring: what nodes measure, what managers keep of it, and the charts that people see.

A service's agent measures (:meth:`~conpaas.agent.base.ServiceAgent.collect`).  Its manager says
what is worth a chart (:meth:`~conpaas.manager.base.ServiceManager.charts`), in the values of
:mod:`~conpaas.features.monitoring.charts`.  Everything between is here.
"""
