"""The part of the generic service that runs on the application's manager."""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

import msgspec

from conpaas.errors import (
    AgentError,
    ConPaaSError,
    InvalidError,
    UnreachableError,
    WrongStateError,
)
from conpaas.features.code.manager import CodeManager
from conpaas.features.code.versions import CodeVersion
from conpaas.features.volumes.manager import VolumeManager
from conpaas.manager.base import Counts, Node
from conpaas.manager.nodes import NodeInfo
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import PATIENCE, Job, Progress, expose, scaled
from conpaas.schema import Option
from conpaas.state import State
from conpaas_generic.agent import AgentEntry, GenericAgent
from conpaas_generic.default_code import FILENAME, default_code
from conpaas_generic.scripts import SCRIPTS

MASTER = "master"
Parameters = Annotated[
    str,
    "Parameters of the script, split at blanks; quotes keep some together",
    Option(short="-p"),
    msgspec.Meta(max_length=30_000),
]
STILL_RUNNING = (
    "Scripts are still running inside at least one agent. "
    "Please wait for them to finish execution or call 'interrupt' first."
)
NOTHING_RUNNING = "No scripts are currently running inside agents. Nothing to interrupt."


@dataclass(frozen=True)
class ScriptStatus:
    """A row of ``get_script_status``: a node and the status of its scripts."""

    agent_id: str
    ip: str
    role: str
    init: str
    notify: str
    run: str
    interrupt: str
    cleanup: str


class GenericManager(CodeManager[GenericAgent], VolumeManager[GenericAgent]):
    """Directs the nodes that run the user's scripts.

    Whatever changes, the nodes are brought to where they belong by the same steps, each of which
    does nothing where it has been done: the list of agents everywhere, then the active code with
    its ``init.sh``, then ``notify.sh`` on those that were there before.
    """

    first_roles: ClassVar[tuple[str, ...]] = (MASTER,)

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        #: Between the question whether anything runs and the start of what must not run then.
        self._scripts_lock = threading.Lock()

    # -- the nodes ----------------------------------------------------------------------------

    def on_start(self, nodes: list[Node]) -> Job[None]:
        """Bring all nodes to where they belong."""
        yield from self._settle()

    def on_nodes_removed(self, nodes: list[Node]) -> Job[None]:
        """Tell the nodes that remain."""
        yield from self._settle()

    def remove_nodes(self, nodes: Counts) -> Job[list[NodeInfo]]:
        """Remove nodes from the running service; the master stays."""
        if not self.place.resuming and (
            nodes.get(MASTER) or all(node.role == MASTER for node in self.nodes)
        ):
            raise InvalidError("Cannot remove the master node.")
        return (yield from super().remove_nodes(nodes))

    def repair(self) -> Job[None]:
        """Try again after an error; an init.sh that failed is run once more."""
        self._count_attempt()
        yield from super().repair()

    def _settle(self) -> Job[None]:
        yield Progress(0, "telling the nodes of one another")
        known = self.place.nodes.all()
        master = next((node.address for node in known if node.role == MASTER), "")
        agents = [AgentEntry(node.address, node.role, node.id) for node in self.nodes]
        self.ask_all(lambda agent: agent.set_agents(agents=agents, master=master))
        yield from scaled(self.put_code(self.active_code, self.nodes), 10, 80)
        yield from scaled(
            self._until(lambda agent: agent.notify(), self.nodes, "running notify.sh"), 80, 100
        )

    # -- the code -----------------------------------------------------------------------------

    def initial_code(self) -> tuple[str, bytes]:
        """Return five scripts that note when and where they are called."""
        return FILENAME, default_code()

    def check_enable(self, version: CodeVersion) -> None:
        """Refuse while a script runs."""
        with self._scripts_lock:
            self._refuse_while_running()
        self._count_attempt()

    def put_code(self, version: CodeVersion, nodes: Sequence[Node]) -> Job[None]:
        """Have nodes unpack a version and run its init.sh, if they have not."""
        yield from scaled(self.send_code(version, nodes), 0, 40)
        attempt = self.store.get("attempt", 0)
        yield from scaled(
            self._until(
                lambda agent: agent.initialise(version=version.id, attempt=attempt),
                nodes,
                f"running init.sh of {version.id}",
            ),
            40,
            100,
        )

    def _count_attempt(self) -> None:
        # Somebody asks: what failed may be tried again.  A job that resumes is no such question.
        if not self.place.resuming:
            self.store["attempt"] = self.store.get("attempt", 0) + 1

    # -- the volumes --------------------------------------------------------------------------

    def check_volumes(self, nodes: Sequence[Node]) -> None:
        """Refuse while a script runs: it may use what is taken from it."""
        with self._scripts_lock:
            self._refuse_while_running(nodes)

    # -- the scripts --------------------------------------------------------------------------

    @expose(states=(State.RUNNING,), done="Service started executing 'run.sh' on all the agents.")
    def run(self, parameters: Parameters = "") -> None:
        """Run run.sh on all the agents."""
        self._start_on_all("run", parameters)

    @expose(
        states=(State.RUNNING,), done="Service started executing 'cleanup.sh' on all the agents."
    )
    def cleanup(self, parameters: Parameters = "") -> None:
        """Run cleanup.sh on all the agents."""
        self._start_on_all("cleanup", parameters)

    @expose(
        states=(State.PROLOGUE, State.RUNNING, State.ADAPTING, State.ERROR),
        done="Service started executing 'interrupt.sh' on all the agents or killing all scripts "
        "if 'interrupt.sh' is already running.",
    )
    def interrupt(self, parameters: Parameters = "") -> None:
        """Run interrupt.sh on all the agents, then terminate what still runs.

        Called again while interrupt.sh runs, it kills all scripts at once, with every process
        that they started.
        """
        arguments = _split(parameters)
        with self._scripts_lock:
            running = [
                script
                for _, scripts in self.ask_each(lambda agent: agent.is_running())
                if not isinstance(scripts, ConPaaSError)
                for script in scripts
            ]
            if not running:
                raise WrongStateError(NOTHING_RUNNING)
            if "interrupt" in running:
                self.ask_all(lambda agent: agent.kill_scripts())
            else:
                self._ask_to_start("interrupt", arguments)

    @expose(reads=True)
    def get_script_status(self) -> list[ScriptStatus]:
        """Show the status of every script on every agent."""
        rows = []
        for node, found in self.ask_each(lambda agent: agent.get_script_status()):
            if isinstance(found, ConPaaSError):
                statuses = dict.fromkeys(SCRIPTS, "N/A")
            else:
                statuses = asdict(found)
            rows.append(ScriptStatus(node.id, node.address, node.role, **statuses))
        return rows

    def _start_on_all(self, script: Literal["run", "cleanup"], parameters: str) -> None:
        arguments = _split(parameters)
        with self._scripts_lock:
            self._refuse_while_running()
            self._ask_to_start(script, arguments)

    def _ask_to_start(
        self, script: Literal["run", "interrupt", "cleanup"], arguments: list[str]
    ) -> None:
        version, number = self.active_code.id, secrets.token_hex(8)
        self.ask_all(
            lambda agent: agent.start_script(
                script=script, version=version, run=number, parameters=arguments
            )
        )
        self.log.info("%s.sh started with %r", script, arguments)

    def _refuse_while_running(self, nodes: Sequence[Node] | None = None) -> None:
        if any(self.ask_all(lambda agent: agent.is_running(), nodes)):
            raise WrongStateError(STILL_RUNNING)

    def _until(
        self, ask: Callable[[GenericAgent], bool], nodes: Sequence[Node], message: str
    ) -> Job[None]:
        """Ask nodes again and again until each has said yes, or failed for good.

        A node whose agent is away for a while is waited for: what it was doing goes on without it.

        Raises:
            AgentError: Some failed; says which, and why.
        """
        waiting, failed = list(nodes), {}
        silent_since: dict[str, float] = {}
        pause = 0.02
        while waiting:
            over = len(nodes) - len(waiting)
            yield Progress(100 * over // len(nodes), f"{message}: {over} of {len(nodes)} nodes")
            now, still = time.monotonic(), []
            for node, answer in self.ask_each(ask, waiting):
                if not isinstance(answer, UnreachableError):
                    silent_since.pop(node.id, None)
                elif now - silent_since.setdefault(node.id, now) < PATIENCE:
                    still.append(node)
                    continue
                if isinstance(answer, ConPaaSError):
                    failed[node] = answer
                elif not answer:
                    still.append(node)
            waiting = still
            if waiting:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.5)
        if failed:
            told = "; ".join(f"{n.id} ({n.address}): {error}" for n, error in failed.items())
            raise AgentError(told, detail=[node.id for node in failed])


def _split(parameters: str) -> list[str]:
    """Split as a shell does, but expand nothing."""
    try:
        parameters.encode()
        arguments = shlex.split(parameters)
    except ValueError as error:
        raise InvalidError(f"the parameters cannot be split: {error}") from None
    if "\0" in parameters:
        raise InvalidError("the parameters must not contain a zero byte")
    return arguments
