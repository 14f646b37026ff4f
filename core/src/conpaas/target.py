"""What jobs change: a service, an agent, an application's manager."""

from __future__ import annotations

from typing import Any, Protocol

from conpaas.progress import JobState
from conpaas.reception import Room
from conpaas.rpc import Operation


class Target(Protocol):
    """What jobs change, at most one at a time."""

    name: str

    @property
    def room(self) -> Room:
        """Where the files lie that its jobs work on."""

    def declared(self, operation: str) -> Operation:
        """Return the declaration of an operation.

        Raises:
            NotFoundError: There is none of that name.
        """

    def make(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        """Call the operation's method with checked arguments; a job is made, not begun."""

    def permit(self, operation: Operation) -> None:
        """Raise WrongStateError when the present state does not allow the operation."""

    def begin(self, operation: Operation) -> str | None:
        """Enter the state that the operation declares; return the one before."""

    def end(self, operation: Operation, before: str | None, state: JobState, reason: str) -> None:
        """Enter the state that follows from how the job ended."""
