"""What the tests of backups share: a service type whose node keeps a text."""

import sqlite3
import time

import pytest

from conpaas import hookimpl, jobs
from conpaas.errors import AgentError, InvalidError
from conpaas.features.backups import plugin
from conpaas.features.backups.agent import BackupAgent
from conpaas.features.backups.manager import BackupManager
from conpaas.manager.config import LimitsSection
from conpaas.plugins import Plugins
from conpaas.rpc import Job, Progress, expose
from conpaas.service import Role, Service
from conpaas.testing.cluster import Cluster

HEAD, END = b"TEXT\n", b"END\n"


class KeepingAgent(BackupAgent):
    """Keeps a text."""

    @expose()
    def put(self, text: str) -> None:
        """Keep a text."""
        if text == "unkeepable":
            raise AgentError("the node burns")
        self.store["text"] = text

    @expose(reads=True)
    def get(self) -> str:
        """Return the text."""
        return self.store.get("text", "")

    @expose()
    def ponder(self) -> Job[None]:
        """Be at work until the file "enough" is there."""
        while not (self.root / "enough").exists():
            yield Progress(0, "pondering")
            time.sleep(0.02)


class KeepingManager(BackupManager[KeepingAgent]):
    """Writes down what its node keeps; orders of tests are in its class."""

    break_off = False
    hold = None

    def on_start(self, nodes):
        """Begin with a text, unless there is one."""
        yield Progress(0, "beginning")
        for node in nodes:
            self.agent(node).put(text=self.store.get("text", "first"))

    @expose()
    def write(self, text: str) -> None:
        """Keep another text."""
        self.store["text"] = text
        self.agent(self.nodes[0]).put(text=text)

    @expose(reads=True)
    def read(self) -> str:
        """Return the text."""
        return self.agent(self.nodes[0]).get()

    def write_backup(self):
        """Write the text in pieces."""
        yield HEAD
        if KeepingManager.hold is not None:
            KeepingManager.hold()
        if KeepingManager.break_off:
            raise AgentError("the node burns")
        yield self.read().encode() + b"\n"
        yield END

    def check_backup(self, content, size):
        """Look for the beginning and the end."""
        yield Progress(0, "trying it")
        text = _text(content.read())
        return f"a text of {len(text)} characters"

    def read_backup(self, content, size):
        """Keep the text."""
        yield Progress(0, "reading it")
        self.write(_text(content.read()))


def _text(content):
    if not (content.startswith(HEAD) and content.endswith(b"\n" + END)):
        raise InvalidError("the backup is broken: it does not end as it should")
    return content[len(HEAD) : -len(END) - 1].decode()


class Keeping:
    """The plugin."""

    @hookimpl
    def conpaas_service(self):
        """Return the service type."""
        return Service(
            name="keeping", title="Keeping", manager=KeepingManager, agent=KeepingAgent,
            roles=(Role("node", "Keeps a text", replace_lost=True),),
        )  # fmt: skip


class Shop:
    """A running service, and short ways to use it."""

    def __init__(self, cluster):
        self.cluster, self.run = cluster, cluster.run
        self.aid = cluster.application()
        self.user = cluster.service("keeping", self.aid)
        self.run(self.user.start())

    @property
    def manager(self):
        return self.cluster.manager(self.aid)

    @property
    def machine(self):
        return next(m for m in self.cluster.machines.values() if m.manager is self.manager)

    @property
    def loose(self):
        return self.manager.host(1).manager.backups.loose()

    @property
    def node(self):
        return self.user.list_nodes()[0].agent_id

    @property
    def root(self):
        """Where the files of the node's machine are."""
        return self.cluster.machine(int(self.node.removeprefix("node-"))).directory / "root"

    def names(self):
        return [row.name for row in self.user.list_backups()]

    def blobs(self):
        """Return the names of the files that the manager and the director keep."""
        here = sorted(path.name for path in (self.machine.directory / "blobs").glob("*"))
        there = sorted(self.cluster.directory.glob(f"director/applications/{self.aid}/blobs/*"))
        assert here == [path.name for path in there]
        assert not list((self.machine.directory / "blobs").glob(".new-*"))
        return here

    def volume(self, name="shelf"):
        """Give the node a volume."""
        self.run(self.user.create_volume(vol_name=name, vol_size=10, agent_id=self.node))
        return name

    def on_volume(self, name="shelf"):
        """Return the files that are kept on a volume."""
        path = self.root / "media" / name / "backups"
        return {file.name: file for file in path.iterdir()} if path.is_dir() else {}

    def restart(self):
        self.cluster.restart(self.machine)

    def idle(self):
        """Wait until the manager is there and no job is at work."""

        def there():
            try:
                return not self.manager.runner.busy("service 1")
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(there)

    def later(self, hours):
        """Let time pass; what is due then is done."""
        self.cluster.sampling_clock.advance(seconds=3600 * hours)
        self.look()

    def look(self):
        self.cluster.look()
        self.idle()

    def is_job(self):
        return jobs._present.get()


@pytest.fixture
def plugins():
    """The service type, and the feature."""
    return Plugins(keeping=Keeping(), backups=plugin)


@pytest.fixture
def shop(cluster: Cluster):
    """A running service that keeps the text "first"."""
    yield Shop(cluster)
    KeepingManager.break_off, KeepingManager.hold = False, None


@pytest.fixture
def small_shop(plugins):
    """A running service whose backups may have 100 bytes where manager and director keep them."""
    with Cluster(plugins, LimitsSection(backup=100)) as cluster:
        yield Shop(cluster)


@pytest.fixture
def orders():
    """The class of the service's manager, for orders."""
    return KeepingManager
