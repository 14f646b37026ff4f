"""Versions of users' code: for every service that runs what its users upload.

:mod:`~conpaas.features.code.archives` looks into archives and unpacks them, and knows nothing of
ConPaaS; :class:`~conpaas.features.code.manager.CodeManager` and
:class:`~conpaas.features.code.agent.CodeAgent` are what a service's own classes inherit.
"""
