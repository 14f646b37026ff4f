"""ConPaaS: a platform as a service whose services are plugins."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pluggy

    #: Marks a function of a plugin's module as its answer to a hook of :mod:`conpaas.hookspecs`.
    hookimpl = pluggy.HookimplMarker("conpaas")


def __getattr__(name: str) -> object:
    # Late: every program imports this package, and most have no use for pluggy.
    if name == "hookimpl":
        import pluggy

        return pluggy.HookimplMarker("conpaas")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
