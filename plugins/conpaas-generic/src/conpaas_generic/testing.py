"""A generic service for tests: on a cluster in this process."""

from __future__ import annotations

import io
from typing import Any

from conpaas.features.code.packing import packed
from conpaas.rpc import Upload
from conpaas.state import State
from conpaas.testing import Cluster


class Generic:
    """A generic service on a cluster, and short ways to use it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.aid = cluster.application()
        self.user: Any = cluster.service("generic", self.aid)

    def start(self, **scripts: str) -> None:
        """Start it with scripts, given by name without ``.sh``."""
        self.enable(self.upload(**scripts))
        self.cluster.run(self.user.start())

    def upload(self, **scripts: str) -> str:
        """Upload a version with these scripts; return its id."""
        texts = {f"{name}.sh": text for name, text in (scripts or {"README": "nothing"}).items()}
        content = packed(texts, form="w:gz")
        upload = Upload(io.BytesIO(content), "code.tar.gz", len(content))
        return str(self.user.upload_code(filename=upload).codeVersionId)

    def enable(self, version: str) -> None:
        """Enable a version, and wait until it is."""
        self.cluster.run(self.user.enable_code(code_version=version))

    def add(self, count: int) -> None:
        """Add nodes, and wait for them."""
        self.cluster.run(self.user.add_nodes(nodes={"count": count}))

    def remove(self, count: int) -> None:
        """Remove nodes, and wait until they are gone."""
        self.cluster.run(self.user.remove_nodes(nodes={"count": count}))

    @property
    def state(self) -> State:
        """The state of the service."""
        return self.cluster.state(self.aid, 1)

    @property
    def active(self) -> str:
        """The id of the version in use."""
        rows = self.user.list_codes()
        return str(next(code.codeVersionId for code in rows if code.current == "*"))

    @property
    def agents(self) -> list[Any]:
        """The agents of its nodes, oldest node first."""
        return [host.agent for host in self.cluster.agents(self.aid, 1)]

    def notes(self) -> list[list[str]]:
        """Return what each node has noted, oldest node first."""
        paths = [agent.root / "root/notes" for agent in self.agents]
        return [p.read_text().split("\n")[:-1] if p.exists() else [] for p in paths]

    def statuses(self, script: str) -> list[str]:
        """Return the status of a script on each node."""
        return [getattr(row, script) for row in self.user.get_script_status()]

    def quiet(self) -> bool:
        """Return whether no script runs on any node."""
        return not any(agent.is_running() for agent in self.agents)
