"""Backups of what a service keeps, for every service type that can answer for its own.

:mod:`~conpaas.features.backups.manager` has the users' part, the schedule and where backups lie;
a service type says how its data is written, tried and read back.
"""
