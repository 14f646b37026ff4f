"""What all tests of core share: a service type that does little, and a cluster with it."""

import itertools
import sys
import threading
from dataclasses import dataclass
from typing import Annotated

import argon2
import pytest
from hypothesis import settings

from conpaas import hookimpl, jobs
from conpaas.agent.base import LogFile, ServiceAgent
from conpaas.director.models import Job as DirectorJob
from conpaas.errors import AgentError, InvalidError, UnreachableError, UnsavedError
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import Download, Job, Progress, Upload, expose
from conpaas.service import Role, Service
from conpaas.state import State
from conpaas.testing.cluster import Cluster

# A shared machine may stall for longer than hypothesis thinks a test may take.
settings.register_profile("conpaas", deadline=None)
settings.load_profile("conpaas")


@dataclass(frozen=True)
class Word:
    """What a node says."""

    node: str
    word: str


class SimpleAgent(ServiceAgent):
    """Keeps a word."""

    def logs(self):
        """Return one log beside the agent's own."""
        return [LogFile("word.log", "the words", self.root / "word.log")]

    @expose()
    def configure(self, word: Annotated[str, "The word"]) -> Job[str]:
        """Learn the word."""
        if word == "unspeakable":
            raise InvalidError("nobody may say that")
        yield Progress(0, "listening")
        if word == "broken":
            raise AgentError("the node burns")
        yield Progress(50, "learning")
        self.store["word"] = word
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "word.log").write_text(f"{word}\n")
        return word

    @expose(reads=True)
    def say(self) -> Word:
        """Say the word."""
        return Word(self.place.node, self.store.get("word", ""))


class SimpleManager(ServiceManager[SimpleAgent]):
    """Teaches its nodes a word, and notes in its store what it was called for."""

    def on_start(self, nodes):
        """Teach the nodes."""
        self._note("start", nodes)
        yield from self.run_all(lambda agent: agent.configure(self.store.get("word", "hi")), nodes)

    def check_save(self):
        """Refuse what is known to be too large."""
        if self.store.get("word") == "endless":
            raise UnsavedError("the word has no end")

    def save(self):
        """Note the words, unless one cannot be written."""
        yield Progress(0, "writing the words down")
        answers = self.ask_each(lambda agent: agent.say(), self.nodes)
        self.store["said"] = [said.word for _, said in answers if isinstance(said, Word)]
        if self.store.get("word") == "ineffable":
            raise AgentError("it cannot be written")

    def on_stop(self):
        """Note it."""
        self._note("stop", self.nodes)

    def on_nodes_added(self, nodes):
        """Teach the new nodes."""
        self._note("added", nodes)
        yield from self.run_all(lambda agent: agent.configure(self.store.get("word", "hi")), nodes)

    def on_nodes_leaving(self, nodes):
        """Note it."""
        self._note("leaving", nodes)
        yield Progress(50, "letting them finish")

    def on_nodes_removed(self, nodes):
        """Note it."""
        self._note("removed", nodes)

    def on_node_lost(self, node):
        """Note it."""
        self._note("lost", [node])

    @expose()
    def set_word(self, word: Annotated[str, "The word"]) -> None:
        """Keep a word for the nodes to come."""
        self.store["word"] = word

    @expose(reads=True, states=(State.RUNNING,))
    def get_words(self) -> list[Word]:
        """Ask all nodes for their words."""
        return self.ask_all(lambda agent: agent.say())

    @expose()
    def put_file(self, content: Upload) -> str:
        """Keep a file."""
        blob = self.blobs.put(content.stream, self.place.upload_limit)
        self.store["file"] = blob.digest
        return blob.digest

    @expose(reads=True)
    def get_file(self) -> Download:
        """Return the file."""
        content = self.blobs.path(self.store["file"]).read_bytes()
        return Download(iter([content]), "größe.bin", size=len(content))

    def _note(self, what, nodes):
        self.store["events"] = [*self.store.get("events", []), [what, len(nodes)]]


class Simple:
    """The plugin."""

    @hookimpl
    def conpaas_service(self):
        """Return the service type."""
        return Service(
            name="simple",
            title="Simple",
            summary="Keeps a word.",
            manager=SimpleManager,
            agent=SimpleAgent,
            roles=(
                Role("node", "Keeps the word", replace_lost=True),
                Role("keeper", "Keeps it for ever"),
                Role("head", "Is there anyway", fixed=True),
            ),
        )


class CheapHasher(argon2.PasswordHasher):
    """Takes no time: what passwords cost is not what most tests are about."""

    def __init__(self):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords():
    """Have passwords cost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2, "PasswordHasher", CheapHasher)
        yield


@pytest.fixture
def plugins():
    """The simple service type, and nothing else."""
    return Plugins(simple=Simple())


@pytest.fixture
def cluster(plugins):
    """A whole ConPaaS in this process, with the simple service type."""
    with Cluster(plugins) as made:
        yield made


class Killed(SystemExit):
    """Ends a thread on the spot, and nobody is told."""


class Killer:
    """Kills a process at the n-th of its jobs' writes to its database."""

    def __init__(self):
        self.left = None
        self.killed = threading.Event()
        self.died = False

    def arm(self, number):
        """Kill at that write from now on; None lets everything live."""
        self.died = self.killed.is_set()
        self.killed.clear()
        self.left = number

    def watch(self, owner, name, is_job):
        """Count the calls of ``owner.name`` that write, on threads of which ``is_job`` is true."""
        original = getattr(owner, name)

        def counted(sql, *values, **named):
            writes = str(sql).lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))
            if writes and is_job():
                if self.killed.is_set():
                    raise Killed
                if self.left is not None:
                    self.left -= 1
                    if self.left < 0:
                        self.left = None
                        self.killed.set()
                        raise Killed
            return original(sql, *values, **named)

        setattr(owner, name, counted)


@pytest.fixture(
    params=[
        pytest.param(1, id="every one", marks=pytest.mark.long),
        pytest.param(5, id="every fifth"),
    ]
)
def writes(request):
    """Numbers the writes at which something is killed, without end: ``for number in writes()``."""
    return lambda: itertools.count(0, request.param)


@pytest.fixture
def walk(dying, writes):
    """Make changes that lead back to where they began, with a kill at writes of each.

    All are made without a kill first, then with one at the first write of each, at a later one,
    and so on until none is left.
    """

    def make(app, *changes, dying=dying):
        expected = []
        for change in changes:
            change()
            expected.append(app.seen())
        for number in writes():
            died = []
            for change, seen in zip(changes, expected, strict=True):
                died.append(dying(app, change, number))
                app.idle()
                assert app.seen() == seen, f"killed at write {number}"
            if not any(died):
                assert number > 3
                return

    return make


@pytest.fixture
def killer(monkeypatch):
    """Kills at a chosen write."""
    told = threading.excepthook

    def hook(args):
        if args.exc_type is not Killed:
            told(args)

    monkeypatch.setattr(threading, "excepthook", hook)
    return Killer()


@pytest.fixture
def dying(killer):
    """Do something on a manager that is killed at a write of its job, and comes back by itself."""

    def do_dying(app, do, number):
        """Return whether the manager died on the way."""
        is_job = getattr(app, "is_job", jobs._present.get)
        killer.watch(app.machine.records, "execute", is_job)
        killer.watch(app.machine.records, "insert", is_job)
        done = threading.Event()

        def come_back():
            while not killer.killed.wait(0.005):
                if done.is_set() and not killer.killed.is_set():
                    return
            app.restart()

        rescuer = threading.Thread(target=come_back)
        rescuer.start()
        killer.arm(number)
        try:
            do()
        except UnreachableError:
            # It died before it could answer that the job has begun.
            assert killer.killed.is_set()
        finally:
            done.set()
            rescuer.join()
            killer.arm(None)
        return killer.died

    return do_dying


def _in_worker():
    """Whether this thread runs a job of the director: a manager's jobs call it too."""
    return threading.current_thread().name.startswith("job-") and jobs._present.get() is None


@pytest.fixture
def dying_worker(cluster, killer):
    """Do something with a director whose worker dies at its n-th write, and another takes over."""
    killer.watch(cluster.database, "execute_sql", _in_worker)

    def do_dying(do, number):
        """Return whether the worker died on the way; it is idle then."""
        done = threading.Event()

        def take_over():
            while not killer.killed.wait(0.005):
                if done.is_set() and not killer.killed.is_set():
                    return
            killer.arm(None)
            with cluster.database.connection_context():
                cluster.director.jobs.take_up(own=True)

        rescuer = threading.Thread(target=take_over)
        rescuer.start()
        killer.died = False
        killer.arm(number)
        try:
            do()
        finally:
            done.set()
            rescuer.join()
        killer.left = None
        cluster.wait(
            lambda: not DirectorJob.select().where(DirectorJob.active.is_null(False)).exists()
        )
        return killer.died

    return do_dying


@pytest.fixture
def eager_threads():
    """Have threads take turns so often that what can go wrong between them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
