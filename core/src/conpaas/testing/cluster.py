"""A whole ConPaaS in one process: real director, manager and agents, machines that are objects."""

from __future__ import annotations

import datetime as dt
import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from conpaas import config as files
from conpaas.agent.config import AgentConfig
from conpaas.agent.host import AgentHost
from conpaas.agent.mounts import DirectoryMounts
from conpaas.agent.server import make_app as make_agent_app
from conpaas.certificates import Authority, Identity, Role, Verifier, new_key, signing_request
from conpaas.channel import HttpChannel
from conpaas.clouds.base import CloudMachine
from conpaas.clouds.memory import MemoryCloud, MemoryProvider, MemorySettings
from conpaas.director.api import objects
from conpaas.director.config import DirectorConfig, DirectorSection, MachinesSection
from conpaas.director.database import open_database
from conpaas.director.director import Director
from conpaas.director.models import Job, User
from conpaas.director.queue import ThreadQueue
from conpaas.director.server import make_app as make_director_app
from conpaas.director.users import new_token
from conpaas.director.ways import HttpManagerWays
from conpaas.errors import UnreachableError
from conpaas.machine.user_data import JOIN_FILE, parse
from conpaas.manager.__main__ import fetch_state
from conpaas.manager.application import ApplicationManager
from conpaas.manager.book import STEPS
from conpaas.manager.config import LimitsSection, ManagerConfig, WatchSection
from conpaas.manager.server import make_app as make_manager_app
from conpaas.manager.watch import Watch
from conpaas.manager.ways import HttpWays
from conpaas.plugins import Plugins
from conpaas.records import Records
from conpaas.rpc import Progress, finish, stub
from conpaas.state import State
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.testing.clock import Clock
from conpaas.testing.machines import TestMachine
from conpaas.testing.network import Network, NetworkPeers
from conpaas.testing.once import cheap_hash, empty_tables
from conpaas.testing.waiting import eventually
from conpaas.transport import raise_for_error

T = TypeVar("T")
DEPLOYMENT = "cluster"
DIRECTOR_URL = "https://director:5555"
PASSWORD = "correct horse"  # noqa: S105 - of the user "test", in this process only
logger = logging.getLogger(__name__)


class Cluster:
    """A director with a cloud in memory, one user, and whatever they start.

    Use it as a context manager::

        with Cluster(Plugins.installed()) as cluster:
            service = cluster.service("my-service")
            cluster.run(service.start())
            assert service.list_nodes()

    Args:
        plugins: Default: those installed.
        limits: How much is allowed; default: little.
        credit: What the user may spend, where the plugins charge.
        subnet: Where the machines' addresses are from: in 127.0.0.0/8, programs can listen there.
    """

    def __init__(
        self,
        plugins: Plugins | None = None,
        limits: LimitsSection | None = None,
        credit: int = 1000,
        subnet: str = MemorySettings.subnet,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(
            # A job that is cut off may write its last line after everything is closed.
            prefix="conpaas-cluster-",
            ignore_cleanup_errors=True,
        )
        self.directory = Path(self._temporary.name)
        self.directory.chmod(0o711)  # what services run may run as another user
        self.plugins = plugins or Plugins.installed()
        self.clock = Clock()  # the director's
        self.sampling_clock = Clock()  # the managers', for what nodes measure
        self.network = Network()
        self.provider = MemoryProvider(MemorySettings(subnet=subnet))
        self.provider.on_create = self._power_on
        self.provider.on_destroy = self._power_off
        self.machines: dict[str, TestMachine] = {}
        self.steps: list[Progress] = []
        self._closed = False
        self.config = DirectorConfig(
            director=DirectorSection(
                name=DEPLOYMENT,
                url=DIRECTOR_URL,
                data_dir=str(self.directory / "director"),
                run_dir=str(self.directory / "run"),
                default_cloud="memory",
            ),
            machines=MachinesSection(boot_timeout=10.0, sweep_age=0.0),
            limits=limits or LimitsSection(nodes_per_service=20),
            watch=WatchSection(every=3600.0, lost_after=0.0, boot=10.0, retry=0.0),
            clouds={"memory": {"driver": "memory"}},
        )
        self.authority = Authority.create(self.config.data / "authority", DEPLOYMENT)
        self._certificate = self._issue(Identity(Role.DIRECTOR))
        self.start_director()
        user = User.create(username="test", password=cheap_hash(PASSWORD))
        self.plugins.hook.conpaas_user_created(config=self.config, user=user, credit=credit)
        self.token = new_token(1, "cluster")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything that runs and remove all files."""
        # The tables are bound to one database: nothing must go on in that of the next cluster.
        self._closed = True
        for machine in list(self.machines.values()):
            self._stop(machine)
        self.network.leave(DIRECTOR_URL)
        self.network.drain(DIRECTOR_URL)
        Job.update(cancel=True).where(Job.active.is_null(False)).execute()
        self._queue.join()
        self.database.close()
        self._temporary.cleanup()

    # -- what users do ------------------------------------------------------------------------

    def api(self, cls: type[Any], token: str | None = None) -> Any:
        """Return a stub of an object of the API, called as the user."""
        return stub(cls, self._channel(f"/api/v1/{cls.object}", token))

    def application(self, name: str = "app", start: bool = True) -> int:
        """Create an application, start it, and return its id."""
        from conpaas.api import Applications

        applications = self.api(Applications)
        aid = int(applications.create(name=name).aid)
        if start:
            self.run(applications.start(application=aid))
        return aid

    def service(self, service_type: str, application: int | None = None) -> Any:
        """Add a service to an application (default: a new one) and return its manager's stub."""
        from conpaas.api import Services

        aid = application or self.application()
        added = self.api(Services).add(service_type=service_type, application=aid)
        return self.service_stub(service_type, aid, added.sid)

    def service_stub(self, service_type: str, aid: int, sid: int) -> Any:
        """Return the stub of a service's manager, called through the director."""
        path = f"/api/v1/applications/{aid}/services/{sid}"
        return stub(self.plugins.service(service_type).manager_class, self._channel(path, None))

    def run(self, job: Any) -> Any:
        """Run a job to its end, note its steps in ``self.steps`` and return its result."""
        self.steps = []
        return finish(job, self.steps.append)

    def state(self, aid: int, sid: int) -> State:
        """Return a service's state, as its manager knows it."""
        return self.manager(aid).host(sid).state()

    # -- looking inside -----------------------------------------------------------------------

    def manager(self, aid: int) -> ApplicationManager:
        """Return the living manager of an application, which can be called.

        Raises:
            LookupError: There is none (yet).
        """
        for machine in list(self.machines.values()):
            manager = machine.manager
            if manager is None or not self.network.has(machine.url):
                continue
            if manager.config.manager.application == aid:
                return manager
        raise LookupError(f"application {aid} has no manager")

    def machine(self, number: int) -> TestMachine:
        """Return a living machine by the director's number."""
        return next(m for m in list(self.machines.values()) if m.number == number)

    def agents(self, aid: int, sid: int) -> list[AgentHost]:
        """Return the living agents of a service, oldest first."""
        nodes = self.manager(aid).book.nodes(sid)
        found = [self.machine(node.machine).agent for node in nodes]
        return [agent for agent in found if agent is not None]

    def wait(self, until: Callable[[], Any], seconds: float = 30.0) -> None:
        """Wait until something is true.

        Raises:
            TimeoutError: It did not become true in time.
        """
        eventually(until, seconds)

    # -- being rough --------------------------------------------------------------------------

    def start_director(self) -> None:
        """Start the director's process, or start it again as after a crash."""
        tables = self.config.data / "director.db"
        if not tables.exists():
            tables.parent.mkdir(parents=True, exist_ok=True)
            tables.write_bytes(empty_tables())
        self.database = open_database("", self.config.data)
        self._queue = ThreadQueue()
        cloud = MemoryCloud("memory", MemorySettings(), DEPLOYMENT, self.provider)
        self.director = Director(
            self.config,
            self.database,
            self.plugins,
            {"memory": cloud},
            self.authority,
            HttpManagerWays(NetworkPeers(self.network, self._certificate)),
            self._queue,
            objects(self.plugins),
            "cluster",
            self.clock,
        )
        self._queue.run = self._in_worker
        self.network.join(DIRECTOR_URL, Identity(Role.DIRECTOR), make_director_app(self.director))

    def restart(self, machine: TestMachine) -> None:
        """Kill a machine's manager or agent and start it again on the same files.

        Its threads go on, but whatever they try from then on fails: they change nothing.
        """
        self._stop(machine, keep_software=True)
        machine.peers = machine.peers.again()
        self._start(machine)

    def look(self) -> None:
        """Have every manager look at its nodes and services once, as it does now and then."""
        for watch in [machine.watch for machine in list(self.machines.values())]:
            if watch is not None:
                watch.round()
                watch.follow_up()

    def sample(self, seconds: float = 5.0) -> None:
        """Have every manager ask its nodes what they measure, that much later than before."""
        self.sampling_clock.advance(seconds=seconds)
        for machine in list(self.machines.values()):
            if machine.manager is not None:
                machine.manager.sampler.round()

    def cut(self, machine: TestMachine, silent: bool = True) -> None:
        """Cut a machine's cable, or mend it."""
        self.network.silence(machine.url, silent)

    # -- machines -----------------------------------------------------------------------------

    def _power_on(self, found: CloudMachine, user_data: str) -> None:
        threading.Thread(target=self._boot, args=(found, user_data), daemon=True).start()

    def _boot(self, found: CloudMachine, user_data: str) -> None:
        told = next(f for f in parse(user_data).files if f.path == JOIN_FILE)
        join, request = json.loads(told.content), signing_request(new_key())
        try:
            machine = self._again(found, lambda: self._join(found, join, request))
            self.machines[found.id] = machine
            self._again(found, lambda: self._start(machine))
        except Exception:
            if not self._closed:
                logger.exception("%s did not boot", found.name)

    def _again(self, found: CloudMachine, do: Callable[[], T]) -> T:
        """Do something until it works, as a machine does while its director is away."""
        while True:
            try:
                return do()
            except UnreachableError:
                if self._closed or found.id not in self.provider.machines:
                    raise
                time.sleep(0.02)

    def _join(self, found: CloudMachine, join: dict[str, str], request: str) -> TestMachine:
        body = json.dumps({"token": join["token"], "csr": request}).encode()
        answer = NetworkPeers(self.network).request(
            join["director"], "POST", "/api/v1/join",
            body=body, headers={"Content-Type": "application/json"},
        )  # fmt: skip
        raise_for_error(answer)
        result = answer.json()["result"]
        role = Role(result["role"])
        directory = self.directory / found.id
        directory.mkdir()
        return TestMachine(
            number=int(found.tags["conpaas-machine"]),
            role=role,
            directory=directory,
            url=f"https://{found.address}:{443 if role is Role.MANAGER else 5555}",
            peers=NetworkPeers(self.network, result["certificate"]),
            config=result["config"],
            mounts=DirectoryMounts(self.directory / "disks"),
        )

    def _start(self, machine: TestMachine) -> None:
        if machine.role is Role.MANAGER:
            self._start_manager(machine)
        else:
            self._start_agent(machine)

    def _start_manager(self, machine: TestMachine) -> None:
        settings = files.parse(ManagerConfig, machine.config, {}, "manager.toml")
        section = settings.manager
        ways = HttpWays(machine.peers, section.director_url, section.application)
        database = machine.directory / "manager.db"
        fetch_state(ways, database)
        machine.records = Records(database, STEPS)
        manager = ApplicationManager(
            settings, self.plugins, machine.records, ways, machine.directory,
            machine.directory / "manager.log", self._supervisor(machine),
            clock=self.sampling_clock,
        )  # fmt: skip
        manager.start()
        machine.manager, machine.watch = manager, Watch(manager)
        app = make_manager_app(manager, Verifier(self.authority.ca_pem, DEPLOYMENT))
        self.network.join(machine.url, _identity(section, Role.MANAGER), app)

    def _start_agent(self, machine: TestMachine) -> None:
        section = files.parse(AgentConfig, machine.config, {}, "agent.toml").agent
        machine.records = Records(machine.directory / "agent.db")
        host = AgentHost(
            section, self.plugins, machine.directory / "root", self._supervisor(machine),
            machine.records, machine.mounts,
        )  # fmt: skip
        host.start()
        machine.agent = host
        app = make_agent_app(
            host, Verifier(self.authority.ca_pem, DEPLOYMENT), section.application
        )
        self.network.join(machine.url, _identity(section, Role.AGENT), app)

    def _supervisor(self, machine: TestMachine) -> ProcessSupervisor:
        if machine.supervisor is None:
            machine.supervisor = ProcessSupervisor(machine.directory / "log", pause=0.05)
        return machine.supervisor

    def _power_off(self, found: CloudMachine) -> None:
        if machine := self.machines.pop(found.id, None):
            self._stop(machine)
            self.cut(machine, False)  # who gets its address has a cable of its own

    def _stop(self, machine: TestMachine, keep_software: bool = False) -> None:
        self.network.leave(machine.url)
        # First of all: who is dead notes nothing, least of all that nobody answers him any more.
        if machine.records is not None:
            machine.records.close()
        machine.peers.close()
        if machine.manager is not None:
            machine.manager.close()
            machine.manager = machine.watch = None
        if machine.supervisor is not None and not keep_software:
            machine.supervisor.shutdown()
            machine.end_scripts()

    # -- calls --------------------------------------------------------------------------------

    def _channel(self, path: str, token: str | None) -> HttpChannel:
        return HttpChannel(
            NetworkPeers(self.network), DIRECTOR_URL, path, Identity(Role.DIRECTOR),
            headers={"Authorization": f"Bearer {token or self.token}"},
        )  # fmt: skip

    def _in_worker(self, number: int) -> None:
        with self.database.connection_context():
            self.director.jobs.run(number)

    def _issue(self, identity: Identity) -> str:
        return self.authority.issue(signing_request(new_key()), identity, dt.timedelta(days=1))


def _identity(section: Any, role: Role) -> Identity:
    return Identity(role, section.owner, section.application, section.machine)
