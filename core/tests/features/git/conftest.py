"""What the tests of git share: services that take code, a served repository, clones of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_service import PagePlugin

from conpaas import features, hookimpl
from conpaas.director.config import LimitsSection
from conpaas.features.git.server import GitServer
from conpaas.features.git.sshd import Server
from conpaas.plugins import Plugins
from conpaas.service import Service
from conpaas.testing import Cluster

LIMITS = LimitsSection(
    nodes_per_service=5, upload=4 << 20, repository=3 << 20, unpacked=8 << 20, members=2000
)


class SitePlugin:
    """The plugin of the service type."""

    @hookimpl
    def conpaas_service(self) -> Service:
        return replace(PagePlugin().conpaas_service(), name="site", title="Site")


class Pushed:
    """What a push came to."""

    def __init__(self, ran: subprocess.CompletedProcess[bytes]) -> None:
        self.code = ran.returncode
        self.text = ran.stderr.decode(errors="replace")
        lines = [line.removeprefix("remote: ") for line in self.text.splitlines()]
        self.said = "\n".join(line.rstrip() for line in lines)

    def __contains__(self, words: str) -> bool:
        return words in self.said

    def __repr__(self) -> str:
        return f"exit code {self.code}:\n{self.text}"


class Clone:
    """A working copy of a person who pushes."""

    def __init__(self, path: Path, url: str, settings: Path) -> None:
        self.path = path
        self.url = url
        self._receive = f"env GIT_CONFIG_GLOBAL={settings} git-receive-pack"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
        }
        for role in ("AUTHOR", "COMMITTER"):
            self._environment |= {f"GIT_{role}_NAME": "Anna", f"GIT_{role}_EMAIL": "a@b"}

    def git(self, *arguments: str | bytes, ok: bool = True) -> subprocess.CompletedProcess[bytes]:
        ran = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert not ok or ran.returncode == 0, ran.stderr.decode()
        return ran

    def write(self, **files: str | bytes) -> Clone:
        for name, content in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def commit(self, subject: str = "More") -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD").stdout.decode().strip()

    def push(self, *arguments: str) -> Pushed:
        words = arguments or ("origin", "master")
        return Pushed(self.git("push", f"--receive-pack={self._receive}", *words, ok=False))


class App:
    """A running application with two services, and its repository."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.aid = cluster.application()
        self.first: Any = cluster.service("site", self.aid)
        self.second: Any = cluster.service("site", self.aid)
        self.served = 0
        self.server: GitServer
        self.serve()

    @property
    def manager(self) -> Any:
        return self.cluster.manager(self.aid)

    @property
    def machine(self) -> Any:
        return next(m for m in self.cluster.machines.values() if m.manager is self.manager)

    def serve(self) -> GitServer:
        """Serve the repository, as a manager does that begins on its machine."""
        home = self.machine.directory / "git"
        socket = self.directory / f"git-{self.served}.sock"
        self.served += 1
        self.server = GitServer(
            self.manager, Server(home / "ssh", home, socket), self.machine.supervisor, user=None
        )
        self.server.open()
        return self.server

    def clone(self, name: str = "code") -> Clone:
        """Return an empty clone (`git clone` needs no test of ours in this process)."""
        url = str(self.server.repository.path)
        clone = Clone(self.directory / name, url, self.server.repository.settings)
        clone.path.mkdir()
        clone.git("init", "-q", "-b", "master")
        clone.git("remote", "add", "origin", url)
        return clone

    def codes(self, service: Any = None) -> list[str]:
        return [code.codeVersionId for code in (service or self.first).list_codes()]

    def blobs(self) -> set[str]:
        """The files that the director has of the application."""
        directory = self.cluster.config.data / "applications" / str(self.aid) / "blobs"
        return {path.name for path in directory.glob("*")}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    modules = {**features.modules(), "site": SitePlugin()}
    with Cluster(Plugins(**modules), LIMITS) as made:
        yield made


@pytest.fixture
def app(cluster: Cluster, tmp_path: Path) -> Iterator[App]:
    made = App(cluster, tmp_path)
    yield made
    made.server.close()


@pytest.fixture
def clone(app: App) -> Clone:
    return app.clone()
