"""A machine that is an object: what a cluster in one process keeps of it."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from conpaas.agent.host import AgentHost
from conpaas.agent.mounts import DirectoryMounts
from conpaas.certificates import Role
from conpaas.manager.application import ApplicationManager
from conpaas.manager.watch import Watch
from conpaas.records import Records
from conpaas.scripts.processes import kill_descendants
from conpaas.scripts.runs import Run
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.testing.network import NetworkPeers


@dataclass
class TestMachine:
    """A machine of the cluster: what it runs, and how to be rough with it."""

    __test__ = False

    number: int
    role: Role
    directory: Path
    url: str
    peers: NetworkPeers
    config: str
    mounts: DirectoryMounts
    supervisor: ProcessSupervisor | None = None
    manager: ApplicationManager | None = None
    agent: AgentHost | None = None
    watch: Watch | None = None
    records: Records | None = None

    def end_scripts(self) -> None:
        """Kill the scripts that run: they outlive agents, and no machine."""
        for started in (self.directory / "root/var").rglob("started.json"):
            run = Run(started.parent)
            if run.is_running and (runner := run.runner):
                kill_descendants(runner.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(runner.pid, signal.SIGKILL)
