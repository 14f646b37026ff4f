"""The part of the PHP service that runs on each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from conpaas.features.code.agent import VersionId
from conpaas.rpc import expose
from conpaas_web.agent import WebAgent
from conpaas_web.parts import CodeCheck, SessionStore


@dataclass(frozen=True)
class BackendPart:
    """What a PHP backend does.

    Args:
        proxies: Their addresses, sorted; nobody else is answered.
        settings: PHP settings by name, as php.ini writes their values; checked by the manager.
        environment: Variables that the code sees, by name.
        sessions: Where sessions are kept.
        timeout: Seconds after which a request is ended.
    """

    proxies: tuple[str, ...]
    settings: dict[str, str]
    environment: dict[str, str]
    sessions: SessionStore
    timeout: int


class PhpAgent(WebAgent):
    """Runs PHP."""

    @expose()
    def run_backend(self, part: Annotated[BackendPart, "What it does"]) -> bool:
        """Run PHP code, or otherwise than before; return whether that is news."""
        raise NotImplementedError

    @expose()
    def check_code(
        self,
        version: VersionId,
        path: Annotated[str, "Path and query of the request, beginning with /"],
        permalinks: Annotated[bool, "As for the proxy"],
    ) -> CodeCheck:
        """Request a path of a version from this node's backend, as a proxy would."""
        raise NotImplementedError
