"""Environment variables of services whose code reads its settings from them.

:mod:`~conpaas.features.environment.manager` has the users' part, and the values that the
application's other services publish; a service type says how its nodes are told.
"""
