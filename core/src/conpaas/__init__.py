"""ConPaaS: a platform as a service whose services are plugins."""

import pluggy

#: Marks a function of a plugin's module as its answer to a hook of :mod:`conpaas.hookspecs`.
hookimpl = pluggy.HookimplMarker("conpaas")
