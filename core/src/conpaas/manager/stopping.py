"""How a service stops: what only its machines keep is saved, and then they go."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.errors import ConPaaSError, UnsavedError
from conpaas.manager.counts import machines
from conpaas.manager.handlers import Handled, handled
from conpaas.manager.nodes import Node
from conpaas.manager.scaling import ScalingManager
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.state import State

A = TypeVar("A", bound=ServiceAgent)

#: Key of the store: which stop has saved all last.
_SAVED = "saved"
Unsaved = Annotated[bool, "Give up what only the machines keep, where it would be saved otherwise"]


class StoppingManager(ScalingManager[A]):
    """Gives all machines of a service back, when nothing is lost with them."""

    @expose(
        meanwhile=State.EPILOGUE,
        then=State.STOPPED,
        otherwise=State.ERROR,
        resumes=True,
        preempts=True,
        done="Service {service} of application {application} is stopped.",
        confirm="The machines of the service are given back with what is on them. "
        "Its definition, code, settings and volumes are kept.",
    )
    def stop(self, unsaved: Unsaved = False) -> Job[None]:
        """Stop the service and give its machines back; code, settings and volumes are kept."""
        if not unsaved and not self.place.resuming:
            self.check_save()
        yield Progress(0, "winding the service down")
        self.place.nodes.note_roles()
        if not unsaved:
            yield from scaled(self._save(), 0, 30)
        try:
            yield from handled(self.on_stop(), 30, 50)
        except Exception as error:
            # A node that cannot be asked, or a bug, must not keep the machines: they go anyway.
            self.log.warning("while winding down: %s", error, exc_info=error)
            yield Progress(50, f"winding down failed, going on: {error}")
        gone = self.nodes
        yield from self._part(gone, 50, 65)
        yield Progress(65, f"giving {machines(len(gone))} back")
        yield from scaled(self.place.machines.release_all(), 65, 98)
        self._stop_programs()
        self.place.tell_removed(gone)

    # -- may override -------------------------------------------------------------------------

    def check_save(self) -> None:
        """Raise UnsavedError when it is known that :meth:`save` cannot save all."""

    def save(self) -> Handled:
        """Carry away what only the machines keep; what it raises ends the stop, and none goes."""
        return None

    def on_stop(self) -> Handled:
        """Wind down, before the machines go."""
        return None

    def unequip(self, nodes: Sequence[Node], *, for_good: bool) -> Job[None]:
        """Take from nodes whose machines are about to go what must be kept.

        Features add to it, and call super().

        Args:
            nodes: They may not answer: that keeps nothing from going on.
            for_good: Nobody takes their places later, as after a stop somebody does.
        """
        yield from ()

    # -- core's own ---------------------------------------------------------------------------

    def _save(self) -> Job[None]:
        # Once for each job: after a crash its machines may be gone already.
        this = self.place.remember("saving", lambda: secrets.token_hex(8))
        if self.store.get(_SAVED) == this:
            return
        try:
            yield from handled(self.save(), 0, 100)
        except Exception as error:
            # A bug, too, must not cost anybody data.
            self.log.error("while saving: %s", error, exc_info=error)
            told = error.message if isinstance(error, ConPaaSError) else f"a bug: {error!r}"
            raise UnsavedError(
                f"service {self.number} is not stopped, for what only its machines keep cannot be "
                f"saved: {told}. Stop it once more, or with --unsaved to give that up"
            ) from error
        self.store[_SAVED] = this

    def _part(self, nodes: Sequence[Node], low: int, high: int) -> Job[None]:
        """Take from nodes what must be kept; nothing keeps their machines from going."""
        try:
            yield from scaled(self.unequip(nodes, for_good=False), low, high)
        except Exception as error:
            self.log.warning("while taking from the nodes: %s", error, exc_info=error)
            yield Progress(high, f"taking from the nodes failed, going on: {error}")

    def _stop_programs(self) -> None:
        """Stop what the service still runs on the manager's machine; none keeps the others."""
        supervisor = self.place.supervisor
        for name in supervisor.names():
            try:
                supervisor.stop(name)
            except ConPaaSError as error:
                self.log.warning("the program %s on the manager's machine: %s", name, error)
