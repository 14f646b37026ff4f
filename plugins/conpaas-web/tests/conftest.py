"""What the tests of the web library share."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conpaas import features
from conpaas.errors import UnreachableError
from conpaas.plugins import Plugins
from conpaas.rpc import Upload
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas_web.rehearsal import RehearsalAgent, RehearsalPlugin, Stage, packed
from conpaas_web.topology import FILES


class Theatre:
    """A web service that is rehearsed on a cluster, and short ways to use it."""

    def __init__(self, cluster: Cluster, stage: Stage) -> None:
        self.cluster = cluster
        self.stage = stage
        stage.living = lambda: {m.address for m in cluster.provider.machines.values()}
        self.aid = cluster.application()
        self.user: Any = cluster.service("rehearsal", self.aid)
        self.told: list[str] = []

    def run(self, job: Any) -> Any:
        """Run a job to its end, and note every word of it."""
        result = self.cluster.run(job)
        self.idle()
        number = self.manager.runner.latest(1)[0].id
        self.told = [step.message for step in self.manager.runner.report(number).steps]
        return result

    def start(self, **more: int) -> None:
        self.run(self.user.start())
        if more:
            self.add(**more)

    def add(self, **counts: int) -> None:
        self.run(self.user.add_nodes(nodes=counts))

    def remove(self, **counts: int) -> None:
        self.run(self.user.remove_nodes(nodes=counts))

    def upload(self, **files: str) -> str:
        content = packed(files or {"index.html": "new"})
        upload = Upload(io.BytesIO(content), "code.tar", len(content))
        return str(self.user.upload_code(filename=upload).codeVersionId)

    def enable(self, version: str) -> None:
        self.run(self.user.enable_code(code_version=version))

    @property
    def manager(self) -> Any:
        return self.cluster.manager(self.aid)

    @property
    def managers_machine(self) -> Any:
        return next(m for m in self.cluster.machines.values() if m.manager is not None)

    @property
    def state(self) -> State:
        return self.cluster.state(self.aid, 1)

    @property
    def active(self) -> str:
        return next(code.codeVersionId for code in self.user.list_codes() if code.current == "*")

    def idle(self) -> None:
        """Wait until no job is at work; while the manager is away, one may be."""

        def is_idle() -> bool:
            try:
                return not self.manager.runner.busy("service 1")
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(is_idle)

    def is_killed(self, change: Callable[[], None], step: int) -> bool:
        """Make a change, kill the manager at a step of it; return whether there was one."""
        at, died = len(self.stage.events) + step, []

        def die(number: int) -> None:
            if number == at and not died:
                died.append(number)
                self.cluster.restart(self.managers_machine)

        self.stage.before = die
        try:
            change()
        except UnreachableError:
            assert died  # before it could answer that the job has begun
        finally:
            self.stage.before = lambda number: None
        self.idle()
        return bool(died)

    def roles(self) -> dict[str, str]:
        return {node.agent_id: node.role for node in self.user.list_nodes()}

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
        parts = {node: agent.parts for node, agent in self.agents().items()}
        found = {n: sorted(p["web"]["asked"]) for n, p in parts.items() if "web" in p}
        giving = {agent.place.address for agent in self.agents().values() if FILES in agent.parts}
        assert giving == {address for asked in found.values() for address in asked}
        return found

    def machine(self, node: str) -> Any:
        return self.cluster.machine(int(node.removeprefix("node-")))

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
