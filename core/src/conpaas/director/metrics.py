"""What the director tells monitoring: of itself to administrators, of an application to its owner.

Several processes answer requests and run jobs.  What they count is in files that they share
(``prometheus_client``'s own way), so that whichever is asked tells of all of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
import peewee
import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from conpaas.director.authentication import Authentication
from conpaas.director.config import DirectorConfig
from conpaas.director.director import Director
from conpaas.director.machines import Life
from conpaas.director.models import Application, Job, Machine, User
from conpaas.director.objects import ApiObject
from conpaas.errors import DeniedError, NotFoundError
from conpaas.front import METRICS_PATH
from conpaas.metrics import Metrics, Requests, version
from conpaas.rpc import JobState
from conpaas.state import State
from conpaas.web import Request, Response

#: Where prometheus_client is told of the directory, before it is imported.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_KEPT_FILES = 60  #: of processes that have ended; when there are more, what those counted goes


def directory(config: DirectorConfig) -> Path:
    """Return where the director's processes keep what they count."""
    return config.run / "metrics"


def make_directory(config: DirectorConfig) -> Path:
    """Make that directory for processes that begin; what others counted that ended is gone."""
    found = directory(config)
    found.mkdir(parents=True, exist_ok=True)
    _forget(_dead(found))
    return found


class DirectorMetrics:
    """``/api/v1/metrics``: for administrators only.

    Args:
        director: Whose.
        authentication: Tells who asks.
    """

    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._authentication = authentication
        self._metrics = Metrics()
        counted = self._metrics.registry
        if shared := os.environ.get(VARIABLE):
            if len(dead := _dead(Path(shared))) > _KEPT_FILES:
                _forget(dead)
            MultiProcessCollector(self._metrics.registry, shared)  # type: ignore[no-untyped-call]
            counted = CollectorRegistry()  # what is counted is in the files
            self._metrics.add(version)
            self._metrics.add(lambda: _processes(Path(shared)))
        else:
            self._metrics.add_process()
        self._metrics.add(lambda: _contents(director))
        self.requests = Requests(counted)

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with everything."""
        caller = self._authentication.caller(req, "metrics")
        if not caller.admin:
            raise DeniedError("only administrators may see the director's metrics")
        self._metrics.on_get(req, resp)


class ApplicationMetrics:
    """``/api/v1/applications/{application}/metrics``: for its owner's own Prometheus.

    Args:
        director: Knows the application's manager.
        authentication: Tells who asks.
    """

    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._director = director
        self._authentication = authentication

    def on_get(self, req: Request, resp: Response, application: str) -> None:
        """Answer with what the manager says of itself and of all its nodes."""
        caller = self._authentication.caller(req, "application metrics")
        if caller.is_manager:
            raise NotFoundError("managers are asked for metrics, they do not ask")
        row = ApiObject(self._director, caller).find_application(application)
        machine = self._director.require_manager(row)
        answer = self._director.ways.forward(machine, "GET", METRICS_PATH, None, {})
        resp.status = falcon.code_to_http_status(answer.status)
        resp.content_type = answer.headers.get("content-type", falcon.MEDIA_TEXT)
        resp.data = answer.body or b"".join(answer.chunks)


def _contents(director: Director) -> Iterator[Metric]:
    """Count what is in the database."""
    applications = _by_state(Application, [state.value for state in State])
    yield _states("conpaas_applications", "Applications, by state.", applications)
    there = _by_state(Machine, Life.living(), Machine.state != Life.GONE.value)
    yield _states("conpaas_machines", "Machines that are not gone, by state.", there)
    jobs = _by_state(Job, [state.value for state in JobState])
    yield _states("conpaas_jobs", "The director's jobs that are remembered, by state.", jobs)
    yield GaugeMetricFamily("conpaas_users", "Users.", value=User.select().count())


def _by_state(model: Any, known: list[str], where: Any = None) -> dict[str, int]:
    count = peewee.fn.COUNT(model.id)
    query = model.select(model.state, count).group_by(model.state)
    found = dict((query if where is None else query.where(where)).tuples())
    return {**dict.fromkeys(known, 0), **found}


def _states(name: str, words: str, found: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["state"])
    for state, number in sorted(found.items()):
        family.add_metric([state], number)
    return family


def _processes(shared: Path) -> Iterator[Metric]:
    """Tell of the processes that share these files: what each kind of them uses together."""
    cpu: dict[str, float] = {}
    memory: dict[str, int] = {}
    count: dict[str, int] = {}
    for pid in sorted({_pid(file) for file in shared.glob("*.db")}):
        with contextlib.suppress(psutil.Error, IndexError):
            process = psutil.Process(pid)
            kind = process.cmdline()[-1]
            times, used = process.cpu_times(), process.memory_info().rss
            cpu[kind] = cpu.get(kind, 0.0) + times.user + times.system
            memory[kind] = memory.get(kind, 0) + used
            count[kind] = count.get(kind, 0) + 1
    seconds = CounterMetricFamily(
        "conpaas_director_cpu_seconds", "Processor time of processes.", labels=["process"]
    )
    size = GaugeMetricFamily(
        "conpaas_director_memory_bytes", "Resident memory of processes.", labels=["process"]
    )
    number = GaugeMetricFamily("conpaas_director_processes", "Processes.", labels=["process"])
    for kind in sorted(count):
        seconds.add_metric([kind], cpu[kind])
        size.add_metric([kind], memory[kind])
        number.add_metric([kind], count[kind])
    yield from (seconds, size, number)


def _pid(file: Path) -> int:
    # prometheus_client names its files counter_<pid>.db.
    digits = file.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _dead(shared: Path) -> list[Path]:
    return [file for file in shared.glob("*.db") if not psutil.pid_exists(_pid(file))]


def _forget(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
