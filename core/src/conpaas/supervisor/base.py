"""What every supervisor can do."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from conpaas.errors import AgentError, InvalidError, NotFoundError

#: Seconds after which a program that ignores SIGTERM gets SIGKILL.
KILL_AFTER = 10.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BaseSupervisor(abc.ABC):
    """Keeps named programs running.

    A program is *defined* first, taken up by :meth:`scan`, and from then on started again
    whenever it ends, until it is stopped.  A program that was stopped stays so, over restarts of
    the supervisor too.

    Must define:
        ``define``, ``scan``, ``start``, ``stop``, ``signal``, ``remove``, ``pid``, ``names``,
        ``is_active``, ``shutdown``.

    Given to you:
        ``restart``, ``reload``, ``is_running``, ``log_file``, ``tail``.
    """

    #: What :meth:`signal` takes.
    SIGNALS: ClassVar[frozenset[str]] = frozenset(
        {"ALRM", "CONT", "HUP", "INT", "KILL", "QUIT", "STOP", "TERM", "USR1", "USR2", "WINCH"}
    )

    def __init__(self, logs: Path) -> None:
        self.logs = logs

    @abc.abstractmethod
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
        """Say what a program is, and return whether that is new.

        A program that runs goes on as it is until it is restarted.

        Args:
            name: Letters, digits, ``_``, ``.`` and ``-``.
            command: The program and its arguments; it must stay in the foreground.
            environment: Added to the supervisor's own.
            user: Whom it runs as; None leaves that as it is.
            cwd: Where it runs.
            ready_fd: The file descriptor on which it writes a line once it is ready, if it does.
            down: Do not start it before :meth:`start` says so; counts when the program is first
                defined.
            stop_signal: What :meth:`stop` sends, such as ``"QUIT"`` to servers that then answer
                what they have begun.
            kill_after: Seconds after which a program that ignores that gets SIGKILL.
            whole: When the program ends, however it ends, what it has started is killed, as far as
                it is in its process group: otherwise workers of a killed server keep its port.

        Raises:
            InvalidError: The name, a variable's name or an argument cannot be used.
        """

    @abc.abstractmethod
    def scan(self) -> None:
        """Take up what has been defined since; start what is to run.

        Raises:
            UnreachableError: The supervisor itself does not run.
        """

    @abc.abstractmethod
    def start(self, name: str, wait: float = 10.0) -> None:
        """Start a program; one that runs is left alone.

        Args:
            name: Of the program.
            wait: Seconds within which it must run (and be ready, if it can tell); 0 does not wait.

        Raises:
            NotFoundError: It is not defined.
            AgentError: It did not start in time; the message ends with its last words.
        """

    @abc.abstractmethod
    def stop(self, name: str, wait: float = 20.0) -> None:
        """Stop a program and keep it so; one that is down is left alone.

        Raises:
            NotFoundError: It is not defined.
            AgentError: It still runs after ``wait`` seconds (0 does not wait).
        """

    @abc.abstractmethod
    def signal(self, name: str, signal: str) -> None:
        """Send a signal, such as ``"USR1"``, to a program if it runs.

        Raises:
            NotFoundError: It is not defined.
            InvalidError: The signal is none of :attr:`SIGNALS`.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Stop a program and forget it; its log stays.  One that is not defined is fine."""

    @abc.abstractmethod
    def pid(self, name: str) -> int | None:
        """Return the process number of a program, None if it does not run."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """Return the names of all defined programs, sorted."""

    @abc.abstractmethod
    def is_active(self) -> bool:
        """Return whether the supervisor itself runs."""

    @abc.abstractmethod
    def shutdown(self, wait: float = 30.0) -> None:
        """Stop everything, the supervisor too; all stay defined and wanted.

        Raises:
            AgentError: Something still runs after ``wait`` seconds.
        """

    def restart(self, name: str, wait: float = 20.0) -> None:
        """Stop the program if it runs, and start it."""
        self.stop(name, wait)
        self.start(name, wait)

    def reload(self, name: str) -> None:
        """Have the program read its configuration again (SIGHUP)."""
        self.signal(name, "HUP")

    def is_running(self, name: str) -> bool:
        """Return whether the program runs at this moment."""
        return self.pid(name) is not None

    def log_file(self, name: str) -> Path:
        """Return where the program's output goes; older parts lie beside it."""
        self._require_name(name)
        return self.logs / name / "current"

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of the program's output."""
        try:
            with self.log_file(name).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 400 * lines))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _require(self, name: str) -> None:
        self._require_name(name)
        if name not in self.names():
            raise NotFoundError(
                f"No program {name!r} is supervised here; there are: "
                f"{', '.join(self.names()) or 'none'}."
            )

    def _require_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidError(
                f"{name!r} cannot name a program: use up to 63 letters, digits, '_', '.' and "
                "'-', and begin with a letter or digit."
            )

    def _require_signal(self, signal: str) -> None:
        if signal not in self.SIGNALS:
            raise InvalidError(
                f"{signal!r} is no signal to send; there are: {', '.join(sorted(self.SIGNALS))}."
            )

    def _require_definition(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        stop_signal: str = "TERM",
    ) -> None:
        self._require_name(name)
        self._require_signal(stop_signal)
        if not command or not command[0]:
            raise InvalidError(f"The program {name!r} needs a command.")
        for key in environment:
            if not _VARIABLE.fullmatch(key):
                raise InvalidError(f"{key!r} cannot name a variable of the program {name!r}.")
        for text in (*command, *environment.values()):
            if "\0" in text:
                raise InvalidError(f"A zero byte stands in {text!r}, of the program {name!r}.")

    def _failed(self, name: str, what: str) -> AgentError:
        last = self.tail(name)
        return AgentError(
            f"The program {name!r} {what}. "
            + (f"Its last words:\n{last}" if last else "It said nothing.")
        )
