"""The startup script of a service: what each of its machines does once, before anything else."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.agent.startup import StartupStatus
from conpaas.errors import (
    AgentError,
    ConPaaSError,
    InvalidError,
    NotFoundError,
    StartupScriptError,
    TooLargeError,
    UnreachableError,
)
from conpaas.manager.nodes import Node
from conpaas.manager.tools import ManagerTools
from conpaas.rpc import PATIENCE, Job, Progress, Upload, expose

A = TypeVar("A", bound=ServiceAgent)
#: Key of the store: the script, its name, and the ids of the nodes that were there before it.
_STORE = "startup"


class StartupManager(ManagerTools[A]):
    """Keeps a service's startup script and has new machines run it."""

    @expose(done="Startup script uploaded successfully.")
    def set_script(self, filename: Annotated[Upload, "A script for bash"]) -> None:
        """Set the startup script: each machine that is created from now on runs it once, as root.

        It runs before anything else of the service; its output is in the node's startup.log.  A
        node on which it fails is given back.
        """
        content = _read(filename, self.place.startup_limit)
        before = [node.id for node in self.place.nodes.ready() + self.place.nodes.lost()]
        self.store[_STORE] = {"name": filename.filename, "script": content, "before": before}
        self.log.info("startup script %s uploaded (%d bytes)", filename.filename, len(content))

    @expose(reads=True)
    def get_script(self) -> str:
        """Show the startup script."""
        return str(self._script()["script"])

    @expose(done="Startup script removed.")
    def unset_script(self) -> None:
        """Remove the startup script; machines that have run it stay as they are."""
        self._script()
        del self.store[_STORE]
        self.log.info("startup script removed")

    def initialise(self, nodes: Sequence[Node]) -> Job[None]:
        """Have new machines run the startup script; those on which it fails are given back.

        One whose machine dies meanwhile has not failed: who replaces lost nodes replaces it.

        Raises:
            StartupScriptError: It failed somewhere; tells where, and its last words.
            AgentError: A node is gone; nothing was given back.
        """
        if _STORE not in self.store:
            return
        script = self._script()
        new = [node for node in nodes if node.id not in script["before"]]
        if not new:
            return
        yield Progress(0, "running the startup script")
        failed = yield from self._run_script(str(script["script"]).encode(), new)
        if not failed:
            return
        told = "; ".join(f"{node.id} ({node.address}): {why}" for node, why in failed.items())
        yield Progress(90, f"giving back {', '.join(node.id for node in failed)}")
        yield from self.place.machines.release(list(failed))
        raise StartupScriptError(
            f"the startup script failed, and the node is given back: {told}",
            detail=[node.id for node in failed],
        )

    def _run_script(self, script: bytes, nodes: list[Node]) -> Job[dict[Node, str]]:
        """Run the script on nodes until it is over everywhere; return where it failed, and why.

        Raises:
            AgentError: A node is lost, or was silent for too long; what others do goes on.
        """
        failed: dict[Node, str] = {}
        waiting = list(nodes)
        silent_since: dict[str, float] = {}
        pause = 0.02
        while waiting:
            now, still = time.monotonic(), []
            if gone := [node for node in waiting if not self.is_there(node)]:
                told = ", ".join(f"{node.id} ({node.address})" for node in gone)
                raise AgentError(f"{told} was lost while it ran the startup script")
            for node, answer in self.ask_each(lambda agent: _ask(agent, script), waiting):
                if isinstance(answer, UnreachableError):
                    if now - silent_since.setdefault(node.id, now) > PATIENCE:
                        raise AgentError(
                            f"{node.id} ({node.address}) has fallen silent while it ran the "
                            f"startup script: {answer}"
                        )
                    still.append(node)
                    continue
                silent_since.pop(node.id, None)
                if isinstance(answer, ConPaaSError):
                    failed[node] = str(answer)
                elif answer.running and answer.seconds <= self.place.startup_time:
                    still.append(node)
                elif why := _failure(answer):
                    failed[node] = why
            waiting = still
            over = len(nodes) - len(waiting)
            yield Progress(
                80 * over // len(nodes), f"the startup script: {over} of {len(nodes)} nodes"
            )
            if waiting:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.5)
        return failed

    def _script(self) -> dict[str, Any]:
        if _STORE not in self.store:
            raise NotFoundError(f"service {self.number} has no startup script")
        found: dict[str, Any] = self.store[_STORE]
        return found


def _ask(agent: ServiceAgent, script: bytes) -> StartupStatus:
    status = agent.get_startup_status()
    if status.begun:
        return status
    return agent.begin_startup(script=Upload(io.BytesIO(script), "startup.sh", len(script)))


def _failure(status: StartupStatus) -> str:
    if status.code == 0:
        return ""
    if status.running:
        ended = f"it still runs after {status.seconds:.0f} s"
    elif status.code is None:
        ended = "it was killed"
    else:
        ended = f"it ended with return code {status.code}"
    words = status.words.strip()
    return f"{ended}; its last words:\n{words}" if words else f"{ended} and said nothing"


def _read(script: Upload, limit: int) -> str:
    content = script.stream.read(limit + 1)
    while len(content) <= limit and (more := script.stream.read(limit + 1 - len(content))):
        content += more
    if len(content) > limit:
        raise TooLargeError(f"{script.filename} has more than the {limit} bytes that are allowed")
    if not content.strip():
        raise InvalidError(f"{script.filename} is empty: remove the script with unset_script")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidError(f"{script.filename} is not a text in UTF-8") from None
    if "\0" in text:
        raise InvalidError(f"{script.filename} has a zero byte: it is no script")
    return text
