"""The startup script on a node: run once in the life of the machine, whatever happens to us."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas import files
from conpaas.errors import AgentError
from conpaas.logs import tail
from conpaas.scripts.launch import NotStartedError, launch
from conpaas.scripts.runs import Run, Spec

LOG_LIMIT = 16 << 20  #: bytes of startup.log
GRACE = 10.0  #: seconds between being asked to end and being killed
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_LINES = 10


@dataclass(frozen=True)
class StartupStatus:
    """How the startup script of a node is getting on.

    ``code`` is its return code, None while it runs and when it was killed; ``seconds`` is the
    time since it began, ``words`` the end of its log.
    """

    begun: bool
    running: bool
    code: int | None
    seconds: float
    words: str


class Startup:
    """Runs a script once, apart from the agent, which may be killed and come back meanwhile.

    Args:
        root: Of the machine's files.
        environment: Of the script, beside the usual.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._directory = root / "var/lib/conpaas/startup"
        self._home = root / "root"
        self._environment = dict(environment)
        self._run = Run(self._directory / "startup.1")
        self.log = root / "var/log/conpaas/startup.log"

    def begin(self, script: bytes) -> None:
        """Begin a script; on a machine where one was begun, whichever it was, do nothing.

        Raises:
            AgentError: It cannot be started.
        """
        for directory in (self._directory, self._home, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        if not self._run.path.is_dir():
            file = self._directory / "startup.sh"
            files.write(file, script, 0o700, durable=True)
            self._run.create(self._spec(file))
        if self._run.runner is None:
            try:
                launch(self._run)
            except NotStartedError as error:
                raise AgentError(str(error)) from error

    def status(self) -> StartupStatus:
        """Return how it is getting on."""
        if self._run.runner is None:
            return StartupStatus(False, False, None, 0.0, "")
        running = self._run.is_running
        # Asked after that: it may have ended a moment ago.
        return StartupStatus(
            begun=True,
            running=running,
            code=None if running else self._run.code,
            seconds=max(0.0, time.time() - (self._run.path / "started.json").stat().st_mtime),
            words=tail(self.log, _LAST_LINES),
        )

    def _spec(self, file: Path) -> Spec:
        return Spec(
            command=("bash", str(file)),
            directory=str(self._home),
            environment={
                "HOME": str(self._home),
                "LANG": "C.UTF-8",
                "PATH": _PATH,
                "SHELL": "/bin/bash",
                **self._environment,
            },
            out=str(self.log),
            err=str(self.log),
            err_from=0,
            log_limit=LOG_LIMIT,
            terminates=None,
            grace=GRACE,
        )
