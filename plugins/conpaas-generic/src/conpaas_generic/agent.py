"""The part of the generic service that runs on each node."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from conpaas import files
from conpaas.agent.base import AgentPlace, LogFile
from conpaas.errors import AgentError, BusyError
from conpaas.features.code.agent import CodeAgent, VersionId
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.rpc import expose
from conpaas.scripts.runs import Run
from conpaas_generic.scripts import NotStartedError, Scripts

RunNumber = Annotated[
    str, "Number of the run: the same never runs twice", msgspec.Meta(pattern="^[0-9a-f]+$")
]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class AgentEntry:
    """One agent, as scripts read it in ``agents.json``."""

    ip: str
    role: str
    id: str


@dataclass(frozen=True)
class ScriptStatuses:
    """The status of each script of the active version of the code."""

    init: str
    notify: str
    run: str
    interrupt: str
    cleanup: str


class GenericAgent(CodeAgent, VolumeAgent):
    """Runs the user's scripts."""

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self._cache = self.root / "var/cache/cpsagent"
        self._bin = self._cache / "bin"
        self._agents_file = self._cache / "agents.json"
        self._home = self.root / "root"
        self._out = self._home / "agent.out"
        self._err = self._home / "agent.err"
        self.scripts = Scripts(self._cache / "runs", self._out, self._err)
        #: Between a look at what runs and what is done about it.
        self._scripts_lock = threading.Lock()

    def logs(self) -> list[LogFile]:
        """Return the output of the scripts."""
        return [
            LogFile("agent.out", "what the scripts printed to standard output", self._out),
            LogFile("agent.err", "what the scripts printed to standard error", self._err),
        ]

    @expose()
    def set_agents(
        self,
        agents: Annotated[list[AgentEntry], "All agents of the service"],
        master: Annotated[str, "Address of the master"],
    ) -> bool:
        """Write ``agents.json``, and return whether that is news."""
        self._cache.mkdir(parents=True, exist_ok=True)
        self.store["master"] = master
        text = json.dumps([asdict(agent) for agent in agents])
        return files.write(self._agents_file, f"{text}\n", durable=True)

    @expose()
    def initialise(
        self,
        version: VersionId,
        attempt: Annotated[int, "Rises when somebody asks to try again"],
    ) -> bool:
        """Run ``init.sh`` of a version unless that was done; return whether it is over.

        Asked again, it never starts the script again: not after it succeeded, and after it failed
        only in a later attempt.

        Raises:
            AgentError: It failed; tells its return code and its last words.
        """
        with self._scripts_lock:
            self._change_to(version)
            if self.store.get("told") is None:
                # Who comes new learns of the others from init.sh, not from notify.sh.
                self.store["told"] = self._membership()
            runs = self.scripts.runs(version, "init")
            if any(run.code == 0 for run in runs):
                return True
            if any(run.is_running for run in runs):
                return False
            run = self.scripts.find(version, "init", str(attempt))
            if run.runner is None:
                there = self._start("init", version, str(attempt), [])
                return not there
            if run.code == 0:
                return True
            raise AgentError(self._failure(version, run))

    @expose()
    def notify(self) -> bool:
        """Run ``notify.sh`` if the list of agents is another than when this node was last told.

        Returns:
            False while the script still runs for an earlier change: ask again.
        """
        with self._scripts_lock:
            membership = self._membership()
            if self.store.get("told") == membership:
                return True
            version = self._initialised_version()
            run = self.scripts.find(version, "notify", membership)
            others = self.scripts.runs(version, "notify")
            if any(other.is_running for other in others if other != run):
                return False
            self._start("notify", version, membership, [])
            self.store["told"] = membership
            return True

    @expose()
    def start_script(
        self,
        script: Annotated[Literal["run", "interrupt", "cleanup"], "Which"],
        version: Annotated[VersionId, "Of which version of the code"],
        run: RunNumber,
        parameters: Annotated[list[str], "Its arguments"],
    ) -> bool:
        """Start a script, and return whether there is one.

        When ``interrupt.sh`` ends, or there is none, whatever still runs is terminated.
        """
        with self._scripts_lock:
            if script == "interrupt":
                return self._interrupt(run, parameters)
            if running := self.scripts.running():
                raise BusyError(f"{running[0].script}.sh is still running")
            self._change_to(version)
            return self._start(script, self._initialised_version(), run, parameters)

    @expose()
    def kill_scripts(self) -> None:
        """Kill all scripts that run, with every process that they started."""
        self.log.warning("killing %s", [run.script for run in self.scripts.running()])
        self.scripts.kill()

    @expose(reads=True)
    def get_script_status(self) -> ScriptStatuses:
        """Return the status of each script of the active version."""
        return ScriptStatuses(**self.scripts.statuses(self._version()))

    @expose(reads=True)
    def is_running(self) -> list[str]:
        """Return the names of the scripts that run, of any version."""
        return sorted({run.script for run in self.scripts.running()})

    # -- how it is done -----------------------------------------------------------------------

    def _version(self) -> str | None:
        """Return the active version; None before there was one."""
        return Path(os.readlink(self._bin)).name if self._bin.is_symlink() else None

    def _initialised_version(self) -> str:
        version = self._version()
        if version is None:
            raise AgentError("there is no code on this node yet")
        if (self._bin / "init.sh").is_file() and not any(
            run.code == 0 for run in self.scripts.runs(version, "init")
        ):
            raise AgentError(f"init.sh of {version} has not succeeded on this node")
        return version

    def _change_to(self, version: str) -> None:
        if not self.code_path(version).is_dir():
            raise AgentError(f"the code version {version} is not on this node")
        if self._version() == version:
            return
        if running := self.scripts.running():
            raise BusyError(f"{running[0].script}.sh is still running")
        files.link(self._bin, str(self.code_path(version).relative_to(self._cache)))
        self.log.info("code version %s is in use", version)

    def _interrupt(self, number: str, parameters: list[str]) -> bool:
        version = self._version()
        if version is None or not (self.scripts.running() or self._is_begun(version)):
            return False  # a new node: no script comes before init.sh
        there = self._start("interrupt", version, number, parameters)
        if not there:
            self.scripts.terminate()
        return there

    def _is_begun(self, version: str) -> bool:
        return not (self._bin / "init.sh").is_file() or bool(self.scripts.runs(version, "init"))

    def _failure(self, version: str, run: Run) -> str:
        ended = "was killed" if run.code is None else f"ended with return code {run.code}"
        words = self.scripts.last_words(run)
        told = f"; the end of agent.err:\n{words}" if words else " and wrote nothing to agent.err"
        return f"init.sh of {version} {ended}{told}"

    def _start(self, script: str, version: str, number: str, arguments: list[str]) -> bool:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            there = self.scripts.start(
                version, self._bin, script, number, arguments, self._environment()
            )
        except NotStartedError as error:
            raise AgentError(str(error)) from error
        self.log.info("%s.sh of %s %s", script, version, "started" if there else "is not there")
        return there

    def _environment(self) -> dict[str, str]:
        return {
            "MY_IP": self.place.address,
            "MY_ROLE": self.place.role,
            "MASTER_IP": self.store.get("master", ""),
            "AGENTS_FILE": str(self._agents_file),
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "PATH": _PATH,
            "SHELL": "/bin/bash",
        }

    def _membership(self) -> str:
        """Return what stands for the agents that there are, whatever their order."""
        agents = json.loads(self._agents_file.read_text()) if self._agents_file.exists() else []
        ids = "\n".join(sorted(agent["id"] for agent in agents))
        return hashlib.sha256(ids.encode()).hexdigest()[:16]
