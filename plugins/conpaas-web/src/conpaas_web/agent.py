"""The part of a web service that runs on each node, whatever language its code is in."""

from __future__ import annotations

import abc
from typing import Annotated

from conpaas.features.code.agent import CodeAgent, VersionId
from conpaas.rpc import Download, Job, Upload, expose
from conpaas_web.parts import CodeCheck, ProxyPart, WebPart


class WebAgent(CodeAgent, abc.ABC):
    """Runs the parts of a node: proxy, web, backend, or several of them."""

    @expose()
    def run_proxy(self, part: Annotated[ProxyPart, "What it does"]) -> bool:
        """Be a proxy, or another than before; return whether that is news."""
        raise NotImplementedError

    @expose()
    def run_web(self, part: Annotated[WebPart, "What it does"]) -> bool:
        """Serve files, or to others than before; return whether that is news."""
        raise NotImplementedError

    @expose()
    def leave_part(self, part: Annotated[str, "proxy, web or backend"]) -> Job[None]:
        """Stop a part when its last request is answered; one that does not run is fine."""
        raise NotImplementedError

    @expose(reads=True)
    def list_parts(self) -> list[str]:
        """List the parts that this node has been told to run."""
        raise NotImplementedError

    @abc.abstractmethod
    @expose()
    def check_code(
        self,
        version: VersionId,
        path: Annotated[str, "Path and query of the request, beginning with /"],
        permalinks: Annotated[bool, "As for the proxy"],
    ) -> CodeCheck:
        """Request a path of a version from this node's backend, as a proxy would."""

    # -- directories that are kept when the version changes ------------------------------------

    @expose()
    def keep_directories(
        self,
        directories: Annotated[tuple[str, ...], "Their paths in the code"],
        active: Annotated[VersionId | None, "The version that fills what is not there yet"] = None,
    ) -> bool:
        """Have all versions share these directories; the first to have one fills it."""
        raise NotImplementedError

    @expose(reads=True)
    def pack_kept(self) -> Download:
        """Return what is in the kept directories, as a tar.gz."""
        raise NotImplementedError

    @expose()
    def unpack_kept(self, archive: Annotated[Upload, "From another node"]) -> None:
        """Put in what another node kept; of the same file the younger one stays."""
        raise NotImplementedError
