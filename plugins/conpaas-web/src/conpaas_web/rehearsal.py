"""A web service without software: its agents note what they are told, and judge it.

For tests of what directs web services: nothing is started, every request that a proxy could send
is judged at once.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Annotated, Any, cast

from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError
from conpaas.features.code.agent import VersionId
from conpaas.features.code.packing import packed
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas.service import Role, Service
from conpaas.testing import theatre
from conpaas_web.agent import PartName, WebAgent
from conpaas_web.goal import BackendTask, Goal, RequestLimits
from conpaas_web.kept_archive import opened
from conpaas_web.manager import WebManager
from conpaas_web.parts import CodeCheck, FilesPart, ProxyPart, SessionStore, WebPart
from conpaas_web.routing import Script
from conpaas_web.sessions import Sessions
from conpaas_web.topology import BACKEND, FILES, PROXY, WEB


@dataclass
class Stage(theatre.Stage):
    """What all agents of a rehearsal share; ``wrong`` is that a request would not be answered.

    Args:
        living: Returns the addresses of the machines that are there.
        behind: Addresses of web nodes that refused to be told: until they are, they may ask in
            vain, which costs a visitor one file.
    """

    living: Callable[[], set[str]] = set
    behind: set[str] = field(default_factory=set)

    def began(self, address: str, what: str, *, failed: bool) -> None:
        """Note which web nodes were not told."""
        if what == f"run_{WEB}":
            (self.behind.add if failed else self.behind.discard)(address)

    def judge(self) -> None:
        """Look whether every request that a proxy may send now would be answered."""
        with self.lock:
            living = self.living()
            for address in living & self.agents.keys():
                part = self.agents[address].parts.get(PROXY)
                if part is not None:
                    self.wrong += self._complaints(address, part, living)

    def _complaints(self, proxy: str, part: dict[str, Any], living: set[str]) -> list[str]:
        told = []
        for kind, targets in ((WEB, part["web"]), (BACKEND, part["backends"])):
            if not targets:
                told.append(f"{proxy} has no {kind}")
            for target in set(targets) & living:
                agent = self.agents[target]
                theirs = agent.parts.get(kind)
                if theirs is None:
                    told.append(f"{proxy} uses {target}, which is no {kind}")
                elif proxy not in theirs["proxies"]:
                    told.append(f"{target}, a {kind}, does not answer {proxy}")
                if part["version"] not in agent.list_code():
                    told.append(f"{target} has no {part['version']}, which {proxy} asks for")
            told += [f"{proxy} uses {gone}, which is gone" for gone in set(targets) - living]
        for web in (set(part["web"]) & living) - self.behind:
            asked = set(self.agents[web].parts.get(WEB, {}).get("asked", ()))
            told += [f"{web} asks {gone}, which is gone" for gone in asked - living]
            for target in asked & living:
                files = self.agents[target].parts.get(FILES)
                if files is None:
                    told.append(f"{web} asks {target}, which gives no files")
                elif web not in files["askers"]:
                    told.append(f"{target} gives {web} no files")
        return told


class RehearsalAgent(WebAgent):
    """Notes what it is told."""

    stage: Stage

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self.stage.agents[place.address] = self

    @property
    def parts(self) -> dict[str, Any]:
        """What it was told, by part."""
        return dict(self.store.get("parts", {}))

    @expose()
    def run_proxy(self, part: Annotated[ProxyPart, "What it does"]) -> bool:
        """Be a proxy."""
        return self._run(PROXY, asdict(part))

    @expose()
    def run_web(self, part: Annotated[WebPart, "What it does"]) -> bool:
        """Serve files."""
        return self._run(WEB, asdict(part))

    @expose()
    def run_backend(self, part: Annotated[BackendTaskPart, "What it does"]) -> bool:
        """Run code."""
        return self._run(BACKEND, asdict(part))

    @expose()
    def run_files(self, part: Annotated[FilesPart, "What it does"]) -> bool:
        """Give web nodes files."""
        return self._run(FILES, asdict(part))

    @expose(resumes=True)
    def leave_part(self, part: Annotated[PartName, "Which"]) -> Job[None]:
        """Stop a part."""
        yield Progress(0, f"leaving {part}")
        self.stage.begin(self, "leave_part", part)
        parts = self.parts
        parts.pop(part, None)
        self.store["parts"] = parts
        self.stage.judge()

    @expose(reads=True)
    def list_parts(self) -> list[str]:
        """List the parts."""
        return sorted(self.parts)

    @expose()
    def check_code(
        self,
        version: VersionId,
        path: Annotated[str, "Path of the request"],
        permalinks: Annotated[bool, "As for the proxy"],
    ) -> CodeCheck:
        """Answer with the status in the file ``status`` of the version."""
        self.stage.begin(self, "check_code", (version, path, permalinks))
        status = self.code_path(version) / "status"
        said = status.read_text().split("\n") if status.exists() else ["200", "hello"]
        return CodeCheck(int(said[0]), tuple(said[1:]))

    @expose()
    def keep_directories(
        self,
        directories: Annotated[tuple[str, ...], "Their paths in the code"],
        active: Annotated[VersionId | None, "Whose directories are kept first"] = None,
    ) -> bool:
        """Note them."""
        news = bool(self.store.get("directories", []) != list(directories))
        self.store["directories"] = list(directories)
        return news

    @property
    def kept(self) -> dict[str, list[Any]]:
        """What it keeps: for each file its time and its content."""
        return dict(self.store.get("files", {}))

    def write(self, name: str, content: str, time: int) -> None:
        """Keep a file, as the code would write it; of two the younger one stays."""
        kept = self.kept
        if name not in kept or kept[name][0] < time:
            self.store["files"] = {**kept, name: [time, content]}

    @expose(reads=True)
    def measure_kept(self) -> int:
        """Return how much it keeps."""
        return sum(len(content) for _, content in self.kept.values())

    @expose(reads=True)
    def pack_kept(self) -> Download:
        """Return what it keeps."""
        self.stage.begin(self, "pack_kept", None)
        times = {name: time for name, (time, _) in self.kept.items()}
        content = packed({name: text for name, (_, text) in self.kept.items()}, times=times)
        return Download(iter([gzip.compress(content)]), "kept.tar.gz")

    @expose()
    def unpack_kept(
        self,
        archive: Annotated[Upload, "From another node"],
        replace: Annotated[bool, "Nothing that is kept here stays"] = False,
    ) -> None:
        """Keep what another one kept."""
        self.stage.begin(self, "unpack_kept", replace)
        if replace:
            self.store["files"] = {}
        with opened(archive.stream) as files:
            for member in files:
                content = cast("IO[bytes]", files.extractfile(member)).read()
                self.write(member.name, content.decode(), int(member.mtime))

    def on_boot(self) -> None:
        """Begin nothing."""

    def leave_backend(self) -> None:
        """Do nothing: ``leave_part`` does it all."""

    def run_script(self, version: str, script: Script, uri: str, query: str) -> CodeCheck:
        """Do nothing: ``check_code`` does it all."""
        raise AgentError(f"{script} is only rehearsed")

    def _run(self, part: str, told: dict[str, Any]) -> bool:
        self.stage.begin(self, f"run_{part}", told)
        plain = cast("dict[str, Any]", json.loads(json.dumps(told)))
        news = bool(self.parts.get(part) != plain)
        self.store["parts"] = {**self.parts, part: plain}
        self.stage.judge()
        return news


@dataclass(frozen=True)
class BackendTaskPart:
    """What a backend of a rehearsal is told: all there is."""

    proxies: tuple[str, ...]
    settings: dict[str, str]
    environment: dict[str, str]
    sessions: SessionStore
    timeout: int


class RehearsedSessions(Sessions):
    """A store of sessions that only says that it runs."""

    def start(self) -> None:
        """Say that it runs."""
        self._place.store["sessions_run"] = True

    def is_running(self) -> bool:
        """Whether it was started."""
        return bool(self._place.store.get("sessions_run", False))


class RehearsalManager(WebManager[RehearsalAgent]):
    """Directs a rehearsal as a web service is directed."""

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self.sessions = RehearsedSessions(place)

    def initial_code(self) -> tuple[str, bytes]:
        """Return a page."""
        return "code-default.tar", packed({"index.html": "welcome"})

    @property
    def language_settings(self) -> Mapping[str, str]:
        """One setting."""
        return {"colour": self.store.get("colour", "red")}

    def run_backend(self, agent: RehearsalAgent, task: BackendTask) -> bool:
        """Have it run."""
        return agent.run_backend(
            part=BackendTaskPart(
                task.proxies,
                dict(task.settings),
                dict(task.environment),
                task.sessions,
                task.seconds,
            )
        )

    def request_limits(self, goal: Goal) -> RequestLimits:
        """Return anything."""
        return RequestLimits(1 << 20, 60)


class RehearsalPlugin(theatre.RehearsalPlugin):
    """The rehearsal's service type, as a plugin of a test.

    Args:
        stage: What its agents share.
    """

    def __init__(self, stage: Stage) -> None:
        service = Service(
            name="rehearsal",
            title="Rehearsal",
            summary="Hosts nothing.",
            manager=RehearsalManager,
            agent=RehearsalAgent,
            roles=tuple(
                Role(name, f"Pretends to be a {name}", replace_lost=True)
                for name in (BACKEND, WEB, PROXY)
            ),
        )
        super().__init__(stage, service, RehearsalAgent)
