"""The frontend's configuration: ``frontend.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

DEFAULT_PATH = Path("/etc/conpaas/frontend.toml")


@dataclass(frozen=True)
class FrontendServer:
    """Where the director is, and how browsers reach us."""

    director_url: Annotated[str, "Where the director is, with scheme and port"]
    ca: Annotated[str, "File with the certificate of the deployment's authority"]
    certificate: Annotated[str, "File with our own, of role frontend"]
    key: Annotated[str, "File with its key"]
    socket: Annotated[str, "Unix socket to serve on; an nginx with TLS stands in front of it"]
    threads: Annotated[int, "Threads that answer browsers"] = 16
    plugins: Annotated[tuple[str, ...], "Plugins to load; none named: all"] = ()


@dataclass(frozen=True)
class FrontendConfig:
    """The whole file."""

    frontend: FrontendServer
