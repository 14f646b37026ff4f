"""What is known of one execution of a script: a directory of small files, never half written.

``spec.json`` says what is to be run; ``started.json`` who runs it; ``exit.json`` how it ended.
They outlive everybody who writes them.  Knows nothing of ConPaaS.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conpaas.scripts.processes import Identity, identity, is_alive

NEVER_STARTED = "NEVER STARTED"
RUNNING = "RUNNING"
KILLED = "STOPPED (killed)"


@dataclass(frozen=True)
class Spec:
    """What is to be run.

    Args:
        command: Program and arguments.
        directory: Where it runs.
        environment: All of it.
        out: Gets what it prints; ``err`` likewise.
        err: See ``out``.
        err_from: Size of ``err`` before.
        log_limit: Bytes that each of the two may have.
        terminates: The directory of all runs, when those that still run shall end with this one.
        grace: Seconds from being asked to end until being killed.
    """

    command: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    out: str
    err: str
    err_from: int
    log_limit: int
    terminates: str | None
    grace: float


@dataclass(frozen=True)
class Run:
    """One execution of a script, as its files tell; the directory is ``<script>.<id>``."""

    path: Path

    @property
    def script(self) -> str:
        """The script's name."""
        return self.path.name.partition(".")[0]

    @property
    def spec(self) -> Spec:
        """What is run."""
        fields = json.loads((self.path / "spec.json").read_text())
        return Spec(**{**fields, "command": tuple(fields["command"])})

    @property
    def runner(self) -> Identity | None:
        """Who runs it, or ran it; None before it began."""
        started = self._read("started.json")
        return Identity(**started) if started else None

    @property
    def code(self) -> int | None:
        """How it ended; None when it has not, or nobody was left to tell."""
        ended = self._read("exit.json")
        return None if ended is None else int(ended["code"])

    @property
    def is_running(self) -> bool:
        """Whether it runs at this moment."""
        runner = self.runner
        return runner is not None and self.code is None and is_alive(runner)

    @property
    def status(self) -> str:
        """What people are told."""
        if self.runner is None:
            return NEVER_STARTED
        if self.is_running:
            return RUNNING
        # Asked last: it may have ended a moment ago.
        return KILLED if self.code is None else f"STOPPED (return code {self.code})"

    def create(self, spec: Spec) -> None:
        """Note what is to be run, unless that is noted already."""
        if self.path.is_dir():
            return
        new = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        new.mkdir(parents=True)
        _write(new / "spec.json", asdict(spec))
        new.rename(self.path)

    def claim(self) -> bool:
        """Note that this process runs it, and return whether no other has ever done so."""
        new = self.path / f".{secrets.token_hex(4)}"
        _write(new, asdict(_myself()))
        try:
            os.link(new, self.path / "started.json")
        except FileExistsError:
            return False
        finally:
            new.unlink()
        return True

    def end(self, code: int) -> None:
        """Note how it ended."""
        new = self.path / f".{secrets.token_hex(4)}"
        _write(new, {"code": code})
        new.rename(self.path / "exit.json")

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            fields: dict[str, Any] = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return None
        return fields


def runs_below(directory: Path) -> list[Run]:
    """Return all runs of all versions."""
    return [Run(spec.parent) for spec in sorted(directory.glob("*/[!.]*.*/spec.json"))]


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("x") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def _myself() -> Identity:
    me = identity(os.getpid())
    assert me is not None  # noqa: S101 - who asks is alive
    return me
