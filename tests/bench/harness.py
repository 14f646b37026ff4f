"""What all benches share: figures, alternating runs, and processes that are ended again."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from conpaas.certificates import Authority, Identity, new_key, signing_request
from conpaas.machine.places import IdentityFiles
from conpaas.transport import TlsFiles

T = TypeVar("T")
DEPLOYMENT = "bench"
PATIENCE = 30.0  #: seconds for a process to begin to answer
_TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A measurement could not be made."""


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        what: What was measured.
        baseline: The median of the baseline.
        ours: The median of ours.
        unit: Of both.
        aim: What ``ours / baseline`` should not exceed, None where there is no aim.
        more: The aim is for ``ours - baseline`` instead.
        at_least: The ratio should not fall below the aim: more is better.
    """

    what: str
    baseline: float
    ours: float
    unit: str
    aim: float | None = None
    more: bool = False
    at_least: bool = False

    @property
    def value(self) -> float:
        """The ratio, or the difference."""
        return self.ours - self.baseline if self.more else self.ours / self.baseline

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached, None where there is none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim


def alternate(*measure: Callable[[], T], runs: int) -> list[list[T]]:
    """Measure one after the other, again and again, in an order that turns; return each's values.

    Each is measured once before, which does not count.
    """
    values: list[list[T]] = [[] for _ in measure]
    for run in range(-1, runs):
        order = list(enumerate(measure))
        for number, one in order if run % 2 else reversed(order):
            value = one()
            if run >= 0:
                values[number].append(value)
    return values


def median_of(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


# -- processes ------------------------------------------------------------------------------------


def run_program(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a program to its end; return the seconds that it took, and those of its CPU time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} failed: {done.stderr[-500:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tree(*pids: int) -> list[int]:
    """Return processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [*pids]
    while waiting:
        found.append(one := waiting.pop())
        waiting += children.get(one, [])
    return found


def cpu_of(*pids: int) -> float:
    """Return the CPU seconds of processes and their descendants so far."""
    total = 0
    for pid in tree(*pids):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICK


def memory_of(*pids: int) -> float:
    """Return the MB of processes and their descendants; what is shared counts by its part."""
    total = 0
    for pid in tree(*pids):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def free_port() -> int:
    """Return a TCP port of this machine that nothing listens on."""
    while True:
        # None that the kernel gives to clients: one that asks a server which does not listen yet
        # could get that very port, and be connected with itself.
        port = random.randint(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_until(is_there: Callable[[], bool], what: str, pause: float = 0.005) -> None:
    """Ask again and again until it is so.

    Raises:
        BenchError: It is not so after :data:`PATIENCE`.
    """
    until = time.monotonic() + PATIENCE
    while not is_there():
        if time.monotonic() > until:
            raise BenchError(f"{what} after {PATIENCE:.0f} s")
        time.sleep(pause)


class Workbench:
    """A directory, a certificate authority and processes, all of them gone at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        directory = tempfile.TemporaryDirectory(prefix="conpaas-bench-")
        self.directory = Path(self._stack.enter_context(directory))
        self.authority = Authority.create(self.directory / "authority", DEPLOYMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        said = self.directory / "programs.log"
        if kind is not None and said.exists():
            print(said.read_text(errors="replace")[-3000:], file=sys.stderr)
        self._stack.close()

    def member(self, identity: Identity, directory: Path) -> IdentityFiles:
        """Give somebody a certificate, with its files in a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        files, key = IdentityFiles(directory), new_key()
        files.ca.write_text(self.authority.ca_pem)
        pem = self.authority.issue(signing_request(key), identity, dt.timedelta(days=1))
        files.replace(key, pem)
        return files

    @contextlib.contextmanager
    def running(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Have a program run meanwhile."""
        with (self.directory / "programs.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Have a program run until the end."""
        return self._stack.enter_context(self.running(command, environment))


def tls_files(files: IdentityFiles) -> TlsFiles:
    """Return somebody's files as :class:`~conpaas.transport.Peers` takes them."""
    return TlsFiles(files.ca, files.certificate, files.key)
