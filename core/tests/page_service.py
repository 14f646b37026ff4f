"""The smallest service that has code versions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from conpaas import hookimpl
from conpaas.errors import AgentError
from conpaas.features.code.agent import CodeAgent, VersionId
from conpaas.features.code.manager import CodeManager
from conpaas.features.code.packing import packed
from conpaas.features.code.versions import CodeVersion
from conpaas.manager.base import Node
from conpaas.rpc import Job, Progress, Upload, expose
from conpaas.service import Role, Service
from conpaas.state import State
from conpaas.testing import Cluster


class PageAgent(CodeAgent):
    """Shows the page of the version in use; refuses one that is called broken."""

    @expose()
    def use(self, version: VersionId) -> None:
        if (self.code_path(version) / "broken").exists():
            raise AgentError(f"{version} is broken")
        self.store["version"] = version
        self.store["used"] = [*self.store.get("used", []), version]

    @expose(reads=True)
    def page(self) -> str:
        return (self.code_path(self.store["version"]) / "page").read_text()


class PageManager(CodeManager[PageAgent]):
    """Puts a page on all nodes."""

    def initial_code(self) -> tuple[str, bytes]:
        return "default.tar", packed({"page": "welcome"})

    def put_code(self, version: CodeVersion, nodes: Sequence[Node]) -> Job[None]:
        yield from self.send_code(version, nodes)
        yield Progress(50, "using it")
        self.ask_all(lambda agent: agent.use(version.id), nodes)

    def on_start(self, nodes: list[Node]) -> Job[None]:
        yield from self.put_code(self.active_code, nodes)

    @expose(reads=True)
    def pages(self) -> list[str]:
        """Return the page of every node."""
        return self.ask_all(lambda agent: agent.page())


class PagePlugin:
    @hookimpl
    def conpaas_service(self) -> Service:
        return Service(
            name="page",
            title="Page",
            manager=PageManager,
            agent=PageAgent,
            roles=(Role("node", "Shows"),),
        )


class Page:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.aid = cluster.application()
        self.user: Any = cluster.service("page", self.aid)

    def upload(
        self, content: bytes, name: str = "code.tar", description: str = "", **more: Any
    ) -> Any:
        upload = Upload(io.BytesIO(content), name, len(content))
        return self.user.upload_code(filename=upload, description=description, **more)

    def enable(self, version: str) -> Any:
        return self.cluster.run(self.user.enable_code(code_version=version))

    def start(self, nodes: int = 1) -> None:
        self.cluster.run(self.user.start())
        if nodes > 1:
            self.cluster.run(self.user.add_nodes(nodes={"count": nodes - 1}))

    @property
    def state(self) -> State:
        return self.cluster.state(self.aid, 1)

    def stars(self) -> dict[str, str]:
        return {code.codeVersionId: code.current for code in self.user.list_codes()}

    def blobs(self) -> int:
        directory = self.cluster.manager(self.aid).blobs._directory
        return len(list(directory.iterdir())) if directory.exists() else 0
