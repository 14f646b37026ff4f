"""The part of a web service that runs on each node, whatever language its code is in."""

from __future__ import annotations

import abc
import contextlib
import os
import pwd
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from conpaas.agent.base import AgentPlace, LogFile
from conpaas.errors import AgentError, ConPaaSError, InvalidError, UnreachableError
from conpaas.features.backups.agent import BackupAgent
from conpaas.features.code.agent import CodeAgent, VersionId
from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas.schema import from_json, to_json
from conpaas_web.access_log import AccessLog, rotate
from conpaas_web.files_site import files_configuration
from conpaas_web.kept import Kept, check_directories
from conpaas_web.nginx import USER, Nginx
from conpaas_web.parts import (
    FILES_PORT,
    PROXY_PORT,
    WEB_PORT,
    CodeCheck,
    FilesPart,
    ProxyPart,
    WebPart,
)
from conpaas_web.proxy import proxy_configuration
from conpaas_web.routing import File, Nothing, Redirect, Script, route
from conpaas_web.web_site import web_configuration

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PartName = Literal["proxy", "web", "backend", "files"]
#: Seconds that a web node's requests have to end: files on their way to slow proxies.
_WEB_DRAIN = 30
#: Seconds between looks at the size of logs.
_ROTATE_EVERY = 10.0
#: Bytes of a file that a check of the code looks at.
_LOOKED_AT = 10_000


class WebAgent(CodeAgent, BackupAgent, abc.ABC):
    """Runs the parts of a node: proxy, web, backend and its files, or several of them.

    Must define:
        ``run_script`` (for ``check_code``), ``leave_backend``, and an operation ``run_backend``
        that calls ``keep_part("backend", …)`` after it has begun to run.

    May override:
        ``resume_part``: for parts that are not proxy, web or files.

    Given to you:
        ``self.listen`` (the address to listen at), ``self.owner`` (who owns code; None where this
        process may not give things away), ``self.changing_part(name)`` (one change at a time).
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        # A machine may be reached by an address that none of its interfaces has.
        on_machine = place.root == Path("/")
        self.listen = "0.0.0.0" if on_machine else place.address  # noqa: S104
        self.owner = _owner()
        self._part_lock = threading.Lock()
        supervisor = place.supervisor
        self._proxy = Nginx("nginx-proxy", place.root, supervisor, self.listen, PROXY_PORT)
        self._web = Nginx("nginx-web", place.root, supervisor, self.listen, WEB_PORT)
        self._files = Nginx("nginx-files", place.root, supervisor, self.listen, FILES_PORT)
        logs = self._proxy.directories.logs
        self._access_log = AccessLog(
            logs / "proxy-access.log", logs / ".proxy-counts.json", self._proxy.reopen_logs
        )
        self._web_log = logs / "web-access.log"
        self._kept = Kept(place.root / "srv/kept", self.owner)
        self._ended = threading.Event()

    @property
    def code_directory(self) -> Path:
        """Where the directories of the versions lie: proxies name these paths."""
        return self.root / "srv/code"

    # -- the parts of this node ----------------------------------------------------------------

    @expose()
    def run_proxy(self, part: Annotated[ProxyPart, "What it does"]) -> bool:
        """Be a proxy, or another than before; return whether that is news."""
        with self.changing_part("proxy"):
            text = proxy_configuration(
                part,
                f"{self.listen}:{PROXY_PORT}",
                self.code_directory,
                self._proxy.directories,
                self._proxy.status_locations,
            )
            changed = self._proxy.configure(text, drain=part.timeout + 10)
            return self.keep_part("proxy", part) or changed

    @expose()
    def run_web(self, part: Annotated[WebPart, "What it does"]) -> bool:
        """Serve files, or to others than before; return whether that is news."""
        with self.changing_part("web"):
            text = web_configuration(
                part,
                f"{self.listen}:{WEB_PORT}",
                self.place.address,
                self.code_directory,
                self._web.directories,
                self._web.status_locations,
            )
            changed = self._web.configure(text, _WEB_DRAIN)
            return self.keep_part("web", part) or changed

    @expose()
    def run_files(self, part: Annotated[FilesPart, "What it does"]) -> bool:
        """Give web nodes the files that they lack, or others; return whether that is news."""
        with self.changing_part("files"):
            text = files_configuration(
                part,
                f"{self.listen}:{FILES_PORT}",
                self.place.address,
                self.code_directory,
                self._files.status_locations,
            )
            changed = self._files.configure(text, _WEB_DRAIN)
            return self.keep_part("files", part) or changed

    @expose(resumes=True)
    def leave_part(self, part: Annotated[PartName, "Which"]) -> Job[None]:
        """Stop a part when its last request is answered; one that does not run is fine."""
        yield Progress(0, f"{part} answers its last requests")
        with self.changing_part(part):
            # First it is forgotten: whoever comes back after a crash shall not begin it again.
            kept = self._parts()
            kept.pop(part, None)
            self.store["parts"] = kept
            if part == "proxy":
                self._proxy.leave()
            elif part == "web":
                self._web.leave()
            elif part == "files":
                self._files.leave()
            else:
                self.leave_backend()
        self.log.info("this node is no longer %s", part)

    @expose(reads=True)
    def list_parts(self) -> list[str]:
        """List the parts that this node has been told to run."""
        return sorted(self._parts())

    def keep_part(self, name: PartName, part: Any) -> bool:
        """Remember what a part does, and return whether that is news."""
        kept = self._parts()
        told = to_json(part)
        if kept.get(name) == told:
            return False
        self.store["parts"] = kept | {name: told}
        self.log.info("this node is %s", name)
        return True

    @contextmanager
    def changing_part(self, name: PartName) -> Iterator[None]:
        """Change one part at a time.

        Raises:
            AgentError: The disk is full, or the like.
        """
        with self._part_lock:
            try:
                yield
            except OSError as error:
                raise AgentError(f"{name}: {error.strerror or error}") from error

    @abc.abstractmethod
    def leave_backend(self) -> None:
        """Stop running code when the last request is answered; if none runs that is fine."""

    def resume_part(self, name: str, told: Any) -> None:
        """Run a part again as it was told, after this agent or its machine came back."""
        if name == "proxy":
            self.run_proxy(from_json(told, ProxyPart, name))
        elif name == "web":
            self.run_web(from_json(told, WebPart, name))
        elif name == "files":
            self.run_files(from_json(told, FilesPart, name))

    def on_boot(self) -> None:
        """Have everything run that this node was told to."""
        super().on_boot()
        for version in self.list_code():
            try:
                self._prepare(version)  # its arrival may have been cut off
            except (ConPaaSError, OSError) as error:
                self.log.error("code version %s is not ready: %s", version, error)
        for name, told in self._parts().items():
            try:
                self.resume_part(name, told)
            except ConPaaSError as error:
                # The manager asks again; an agent that does not start could tell it nothing.
                self.log.error("%s does not run: %s", name, error)
        threading.Thread(target=self._look_after_logs, name="logs", daemon=True).start()

    # -- the code ------------------------------------------------------------------------------

    @expose()
    def update_code(
        self,
        version: VersionId,
        archive: Annotated[Upload, "Its archive"],
        unpacked_limit: Annotated[int, "Bytes that the archive may hold"],
        members_limit: Annotated[int, "Files that the archive may hold"],
        strip: Annotated[bool, "Leave out the directory that everything lies in"] = False,
    ) -> bool:
        """Unpack a version beside the others, and return whether it is new here."""
        new = super().update_code(version, archive, unpacked_limit, members_limit, strip)
        try:
            self._prepare(version)
        except InvalidError:
            # One that cannot be used must not be taken for one that is ready.
            self.keep_code([name for name in self.list_code() if name != version])
            raise
        return new

    @expose()
    def check_code(
        self,
        version: VersionId,
        path: Annotated[str, "Path and query of the request, beginning with /"],
        permalinks: Annotated[bool, "As for the proxy"],
    ) -> CodeCheck:
        """Request a path of a version from this node's backend, as a proxy would."""
        tree = self.code_path(version)
        if not tree.is_dir():
            raise AgentError(f"the code version {version} is not on this node")
        plain, _, query = path.partition("?")
        match route(tree, plain, permalinks):
            case Script() as script:
                return self.run_script(version, script, path, query)
            case File(found):
                with (tree / found.lstrip("/")).open("rb") as file:
                    text = file.read(_LOOKED_AT).decode(errors="replace")
                return CodeCheck(200, tuple(text.splitlines()[:10]))
            case Redirect(found):
                return CodeCheck(301, (f"Location: {found}",))
            case Nothing():
                return CodeCheck(404, (f"There is nothing at {plain}.",))

    @abc.abstractmethod
    def run_script(self, version: str, script: Script, uri: str, query: str) -> CodeCheck:
        """Run a script of a version on this node's backend, with bounds for time and output."""

    # -- directories that are kept when the version changes ------------------------------------

    @expose()
    def keep_directories(
        self,
        directories: Annotated[tuple[str, ...], "Their paths in the code"],
        active: Annotated[
            VersionId | None, "Whose directories are kept, where nothing is kept yet"
        ] = None,
    ) -> bool:
        """Have all versions share these directories, and no others."""
        wanted = check_directories(directories)
        with self._code_lock:
            versions = sorted(self.list_code(), key=lambda version: version != active)
            gone = sorted(set(self._kept_directories()) - set(wanted))
            changed = False
            for version in versions:
                changed |= self._kept.unlink(self.code_path(version), gone)
            self._kept.forget(gone)
            for version in versions:
                changed |= self._kept.link(self.code_path(version), wanted)
            changed |= self._kept_directories() != wanted
            self.store["kept"] = list(wanted)
        return changed

    @expose(reads=True)
    def measure_kept(self) -> int:
        """Return how many bytes the files in the kept directories have."""
        return self._kept.size(self._kept_directories())

    @expose(reads=True)
    def pack_kept(self) -> Download:
        """Return what is in the kept directories, as a tar.gz."""
        return Download(
            self._kept.pack(self._kept_directories()), "kept.tar.gz", "application/gzip"
        )

    @expose()
    def unpack_kept(
        self,
        archive: Annotated[Upload, "From another node"],
        replace: Annotated[bool, "Nothing that is kept here stays"] = False,
    ) -> None:
        """Put in what another node kept; of the same file the younger one stays."""
        put = self._kept.replace if replace else self._kept.unpack
        with self._code_lock:
            try:
                count = put(archive.stream, self._kept_directories())
            except OSError as error:
                raise AgentError(
                    f"what is kept cannot be written: {error.strerror or error}"
                ) from error
        self.log.info("%d kept files came from another node", count)

    # -- logs and figures ----------------------------------------------------------------------

    def logs(self) -> list[LogFile]:
        """Return the logs of the proxy and of the web server, where there are any."""
        found = [
            LogFile("access.log", "requests to the proxy", self._access_log.path),
            LogFile("proxy-error.log", "what the proxy complains about", self._proxy.error_log),
            LogFile("web-access.log", "requests of proxies for files", self._web_log),
            LogFile("web-error.log", "what the web server complains about", self._web.error_log),
            LogFile(
                "files-error.log",
                "what the server of files for web nodes complains about",
                self._files.error_log,
            ),
        ]
        return [*super().logs(), *(log for log in found if log.path.exists())]

    def collect(self) -> Iterable[Metric]:
        """Return this machine's figures and those of the proxy."""
        from prometheus_client.core import GaugeMetricFamily

        yield from super().collect()
        if not self._proxy.is_defined:
            return
        yield from self._access_log.metrics()
        try:
            now = self._proxy.connections()
        except UnreachableError:
            return  # what cannot be measured is left out
        connections = GaugeMetricFamily(
            "conpaas_http_connections", "Connections of clients to the proxy.", labels=["state"]
        )
        for state in ("reading", "writing", "waiting"):
            connections.add_metric([state], getattr(now, state))
        yield connections

    def rotate_logs(self) -> None:
        """Begin new files for logs that have become large."""
        self._access_log.rotate()
        rotate(self._web_log, self._web.reopen_logs)

    # -- how it is done ------------------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        return dict(self.store.get("parts", {}))

    def _kept_directories(self) -> tuple[str, ...]:
        return tuple(self.store.get("kept", ()))

    def _prepare(self, version: str) -> None:
        """Have a version ready for use; done already, it does nothing."""
        self._own(self.code_path(version))
        self._kept.link(self.code_path(version), self._kept_directories())

    def _own(self, tree: Path) -> None:
        """Give a version's tree to the code, which may write there; its root comes last."""
        if self.owner is None or tree.stat().st_uid == self.owner[0]:
            return
        for directory, directories, names in os.walk(tree, topdown=False):
            for name in [*directories, *names]:
                os.chown(Path(directory, name), *self.owner, follow_symlinks=False)
        shutil.chown(tree, *self.owner)

    def _look_after_logs(self) -> None:
        while not self._ended.wait(_ROTATE_EVERY):
            with contextlib.suppress(OSError):  # a full disk; it is tried again
                self.rotate_logs()


def _owner() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    found = pwd.getpwnam(USER)
    return found.pw_uid, found.pw_gid
