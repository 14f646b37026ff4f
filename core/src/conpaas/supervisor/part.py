"""The part of a supervisor that belongs to one of several who share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from conpaas.supervisor.base import KILL_AFTER, BaseSupervisor


class SupervisorPart(BaseSupervisor):
    """Those programs of a supervisor whose names begin alike, by the rest of their names.

    Args:
        whole: Who keeps them running.
        prefix: What their names begin with there; no other part's prefix begins with it.
    """

    def __init__(self, whole: BaseSupervisor, prefix: str) -> None:
        super().__init__(whole.logs)
        self._whole = whole
        self._prefix = prefix

    def define(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] = {},
        user: str | None = None,
        cwd: Path | None = None,
        ready_fd: int | None = None,
        down: bool = False,
        stop_signal: str = "TERM",
        kill_after: float = KILL_AFTER,
        whole: bool = False,
    ) -> bool:
        """Say what a program is; see :meth:`BaseSupervisor.define`."""
        return self._whole.define(
            self._full(name), command, environment=environment, user=user, cwd=cwd,
            ready_fd=ready_fd, down=down, stop_signal=stop_signal, kill_after=kill_after,
            whole=whole,
        )  # fmt: skip

    def scan(self) -> None:
        """Take up what has been defined since, by the others too."""
        self._whole.scan()

    def start(self, name: str, wait: float = 10.0) -> None:
        """Start a program; see :meth:`BaseSupervisor.start`."""
        self._whole.start(self._full(name), wait)

    def stop(self, name: str, wait: float = 20.0) -> None:
        """Stop a program; see :meth:`BaseSupervisor.stop`."""
        self._whole.stop(self._full(name), wait)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal; see :meth:`BaseSupervisor.signal`."""
        self._whole.signal(self._full(name), signal)

    def remove(self, name: str) -> None:
        """Stop a program and forget it; see :meth:`BaseSupervisor.remove`."""
        self._whole.remove(self._full(name))

    def pid(self, name: str) -> int | None:
        """Return a program's process number; see :meth:`BaseSupervisor.pid`."""
        return self._whole.pid(self._full(name))

    def names(self) -> list[str]:
        """Return the names of the part's programs, sorted."""
        length = len(self._prefix)
        return [name[length:] for name in self._whole.names() if name.startswith(self._prefix)]

    def is_active(self) -> bool:
        """Return whether the whole supervisor runs."""
        return self._whole.is_active()

    def log_file(self, name: str) -> Path:
        """Return where the program's output goes; see :meth:`BaseSupervisor.log_file`."""
        return self._whole.log_file(self._full(name))

    def shutdown(self, wait: float = 30.0) -> None:
        """Stop the part's programs; the supervisor goes on for the others."""
        for name in self.names():
            self.stop(name, wait)

    def _full(self, name: str) -> str:
        self._require_name(name)
        return f"{self._prefix}{name}"
