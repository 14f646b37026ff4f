"""What a plugin's author needs to test a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conpaas.testing.cluster import Cluster
    from conpaas.testing.conformance import ServiceConformance

__all__ = ["Cluster", "ServiceConformance"]


def __getattr__(name: str) -> Any:
    # Late, so that pytest's own start does not import all of ConPaaS in every project.
    if name == "Cluster":
        from conpaas.testing.cluster import Cluster

        return Cluster
    if name == "ServiceConformance":
        from conpaas.testing.conformance import ServiceConformance

        return ServiceConformance
    raise AttributeError(name)
