"""The frontend's configuration: ``frontend.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

DEFAULT_PATH = Path("/etc/conpaas/frontend.toml")


@dataclass(frozen=True)
class FrontendSection:
    """Where the director is, and how browsers reach the pages."""

    director_url: Annotated[str, "Where the director is, with scheme and port"]
    data_dir: Annotated[str, "Directory of ca.pem, cert.pem and key.pem, and of the logs"]
    run_dir: Annotated[str, "Directory of the socket, frontend.sock"]
    listen: Annotated[
        tuple[str, ...], "Addresses with port; none: another nginx stands before the socket"
    ] = ()
    tls_certificate: Annotated[str, "File that browsers are shown; default: cert.pem"] = ""
    tls_key: Annotated[str, "File with its key; default: key.pem"] = ""
    metrics_token: Annotated[str, "Whoever shows it may read /metrics; empty: nobody"] = ""
    threads: Annotated[int, "Threads that answer browsers"] = 16
    plugins: Annotated[tuple[str, ...], "Plugins to load; none named: all"] = ()


@dataclass(frozen=True)
class FrontendConfig:
    """The whole file."""

    frontend: FrontendSection

    @property
    def data(self) -> Path:
        """Certificates and logs."""
        return Path(self.frontend.data_dir)

    @property
    def socket(self) -> Path:
        """Where pages are served, by HTTP without TLS."""
        return Path(self.frontend.run_dir) / "frontend.sock"
