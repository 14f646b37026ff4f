"""The director's processes: one front, one web server, one worker, under one supervisor."""

from __future__ import annotations

import functools
import logging
import os
import socket as sockets
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from conpaas.certificates import Authority
from conpaas.director import metrics
from conpaas.director.config import DirectorConfig
from conpaas.director.director import Director
from conpaas.director.make import (
    frontend_files,
    make_director,
    own_files,
    renew_certificate,
    renew_frontend,
)
from conpaas.director.queue import HueyQueue
from conpaas.director.server import make_app
from conpaas.director.sweep import Sweep
from conpaas.front import ClientCertificates, Front
from conpaas.serving import log_to_stderr, serve
from conpaas.supervisor.s6 import Supervisor
from conpaas.transport import Peers

API = "/api/"  #: what clients call; everything else is pages
DESK = "/api/v1/manager/"  #: what only managers call
REVOKED_EVERY = 10.0  #: seconds between looks at what has been revoked
SWEEP_EVERY = 15.0  #: seconds between rounds of the sweeper
RENEW_EVERY = 6 * 3600.0  #: seconds between looks at the director's own certificate
logger = logging.getLogger(__name__)


def supervisor(config: DirectorConfig) -> Supervisor:
    """Return the supervisor of the director's processes."""
    return Supervisor(config.data / "service", config.data / "log")


def define_processes(config: DirectorConfig, config_path: Path) -> None:
    """Tell the supervisor what to run."""
    config.run.mkdir(parents=True, exist_ok=True)
    identity = own_files(config)
    front = Front(config.data / "front")
    pages = config.frontend.enabled
    locations = [_location(DESK, _socket(config, "desk"))]
    if pages:
        locations.append(_location(API, _socket(config, "director")))
        locations.append(_location(f"= {API.rstrip('/')}", _socket(config, "director")))
    front.configure(
        listen=[_address(text) for text in config.director.listen],
        upstream=_socket(config, "frontend" if pages else "director"),
        certificate=identity.certificate,
        key=identity.key,
        ca=identity.ca,
        client_certificates=ClientCertificates.OPTIONAL,
        user="root" if os.geteuid() == 0 else None,
        locations="\n".join(locations),
        for_people=pages,
    )
    own = [
        "env", f"{metrics.VARIABLE}={metrics.make_directory(config)}",
        sys.executable, "-m", "conpaas.director.main", "--config", str(config_path),
    ]  # fmt: skip
    keeper = supervisor(config)
    keeper.define("front", front.command())
    keeper.define("director", [*own, "web"])
    keeper.define("desk", [*own, "desk"])
    keeper.define("worker", [*own, "work"])
    if pages:
        settings = frontend_files(config).directory / "frontend.toml"
        module = [sys.executable, "-m", "conpaas.frontend.main", "--config", str(settings)]
        keeper.define("frontend", [*module, "web"])
    elif "frontend" in keeper.names():
        keeper.remove("frontend")


def serve_web(config: DirectorConfig) -> None:
    """Answer users and machines until SIGTERM."""
    _serve(config, "director", config.director.workers)


def serve_desk(config: DirectorConfig) -> None:
    """Answer managers until SIGTERM.

    On its own: while a user's request waits for a manager, the manager asks the director.  With
    one pool of threads for both, enough users at once would leave none for their managers.
    """
    _serve(config, "desk", 1)


def _serve(config: DirectorConfig, name: str, workers: int) -> None:
    directors: list[Director] = []

    def build() -> object:
        director, _, _ = make_director(config)
        directors.append(director)
        return make_app(director)

    def started(app: object) -> None:
        director = directors[-1]
        look = functools.partial(_with_database, director, director.refresh_revoked)
        look()
        repeat("revoked", REVOKED_EVERY, look)

    serve(
        build,  # type: ignore[arg-type]
        _socket(config, name),
        workers=workers,
        threads=config.director.threads,
        started=started,
    )


def work(config: DirectorConfig) -> None:
    """Run jobs and look after machines until SIGTERM."""
    log_to_stderr()
    director, queue, peers = make_director(config, worker=f"{sockets.gethostname()}")
    director.jobs.take_up(own=True)
    sweep = Sweep(director)
    # At once: after a start of this host its machines are waiting to be booted.
    repeat("sweep", SWEEP_EVERY, lambda: _with_database(director, sweep.round), first=0.0)
    repeat("take-up", SWEEP_EVERY, lambda: _with_database(director, director.jobs.take_up))
    for periodic in (each for some in director.plugins.hook.conpaas_periodic() for each in some):
        repeat(
            periodic.name,
            periodic.every,
            lambda do=periodic.do: _with_database(director, lambda: do(director)),  # type: ignore[misc]
        )
    repeat("renew", RENEW_EVERY, lambda: _renew(config, director, peers))
    _consume(queue, config.director.job_workers)


def repeat(name: str, every: float, do: Callable[[], None], first: float | None = None) -> None:
    """Do something again and again on a thread; what goes wrong is logged."""

    def run() -> None:
        time.sleep(every if first is None else first)
        while True:
            try:
                do()
            except Exception:
                logger.exception("%s failed; it is tried again in %.0f s", name, every)
            time.sleep(every)

    threading.Thread(target=run, name=name, daemon=True).start()


def _with_database(director: Director, do: Callable[[], None]) -> None:
    with director.database.connection_context():
        do()


def _renew(config: DirectorConfig, director: Director, peers: Peers) -> None:
    authority = Authority.load(config.data / "authority")
    if config.frontend.enabled and renew_frontend(config, authority):
        logger.info("the frontend's certificate was renewed")
        supervisor(config).restart("frontend")
    if renew_certificate(config, authority):
        logger.info("the director's certificate was renewed")
        keeper = supervisor(config)
        keeper.reload("front")
        peers.reload()
        keeper.restart("director")
        keeper.restart("desk")


def _consume(queue: HueyQueue, workers: int) -> None:
    users, managers = (
        lane.create_consumer(
            workers=workers, worker_type="thread", periodic=False, check_worker_health=True
        )
        for lane in queue.lanes
    )
    managers.start()
    users.run()  # it has the signals: they are for the process


def _location(path: str, socket: Path) -> str:
    return f"location {path} {{ proxy_pass http://unix:{socket}; }}"


def _socket(config: DirectorConfig, name: str) -> Path:
    return config.run / f"{name}.sock"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
