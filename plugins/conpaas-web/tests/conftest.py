"""What the tests of the web library share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from conpaas import features
from conpaas.features.code.packing import packed
from conpaas.plugins import Plugins
from conpaas.rpc import Upload
from conpaas.testing import Cluster, theatre
from conpaas_web.rehearsal import RehearsalAgent, RehearsalPlugin, Stage
from conpaas_web.topology import FILES


class Theatre(theatre.Theatre[Stage]):
    """A web service that is rehearsed on a cluster, and short ways to use it."""

    def __init__(self, cluster: Cluster, stage: Stage) -> None:
        super().__init__(cluster, stage)
        stage.living = lambda: {m.address for m in list(cluster.provider.machines.values())}

    def upload(self, **files: str) -> str:
        content = packed(files or {"index.html": "new"})
        upload = Upload(io.BytesIO(content), "code.tar", len(content))
        return str(self.user.upload_code(filename=upload).codeVersionId)

    def enable(self, version: str) -> None:
        self.run(self.user.enable_code(code_version=version))

    @property
    def active(self) -> str:
        return next(code.codeVersionId for code in self.user.list_codes() if code.current == "*")

    def agents(self) -> dict[str, RehearsalAgent]:
        """Return the agents by the ids of their nodes."""
        return {h.agent.place.node: h.agent for h in self.cluster.agents(self.aid, 1)}

    def parts(self) -> dict[str, list[str]]:
        """Return what each node carries."""
        return {
            node: sorted(part for part in agent.parts if part != FILES)
            for node, agent in self.agents().items()
        }

    def asks(self) -> dict[str, list[str]]:
        """Return whom each web node asks for files; nobody else gives any."""
        agents = self.agents()
        # Machines that are made at the same time get their addresses in any order.
        nodes = {agent.place.address: node for node, agent in agents.items()}
        found = {
            node: sorted(nodes[address] for address in agent.parts["web"]["asked"])
            for node, agent in agents.items()
            if "web" in agent.parts
        }
        giving = {node for node, agent in agents.items() if FILES in agent.parts}
        assert giving == {other for asked in found.values() for other in asked}
        return found

    def address(self, node: str) -> str:
        """Return the address of a node's machine."""
        return str(self.agents()[node].place.address)

    def seen(self) -> Any:
        """Return what matters of the whole, for two runs to be compared."""
        roles = sorted(self.roles().values())
        parts = sorted(self.parts().values())
        assert [sorted(r.split(", ")) for r in self.roles().values()] == list(
            self.parts().values()
        ), "what is shown is not what runs"
        return self.state, roles, parts, len(self.cluster.provider.machines)


@pytest.fixture
def stage() -> Stage:
    """What the agents share."""
    return Stage()


@pytest.fixture
def theatre(stage: Stage) -> Iterator[Theatre]:
    """A web service that has not been started; no request may ever go wrong."""
    plugins = Plugins(rehearsal=RehearsalPlugin(stage), **features.modules())
    with Cluster(plugins) as cluster:
        yield Theatre(cluster, stage)
    assert stage.wrong == []
