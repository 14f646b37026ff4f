"""Running one of our WSGI applications under gunicorn, on a private unix socket.

nginx stands in front of it (:mod:`conpaas.front`) and s6 keeps it running.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.sock import create_sockets  # type: ignore[import-untyped]

from conpaas import files

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

#: Seconds without a heartbeat after which a worker is killed.  Long requests do not matter to it:
#: the heart beats in a thread of its own.  Building the application does.
_HEARTBEAT_TIMEOUT = 120
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (gunicorn makes its file there safely)


def serve(
    make_app: Callable[[], WSGIApplication],
    socket: Path,
    *,
    workers: int = 1,
    threads: int = 16,
    started: Callable[[WSGIApplication], None] | None = None,
    stopping: Callable[[WSGIApplication], None] | None = None,
    pid_file: Path | None = None,
    graceful_timeout: int = 8,
    level: str = "INFO",
) -> None:
    """Serve an application until SIGTERM, then exit the process.

    One worker is this very process: gunicorn's main process would cost 19 MB and only do again
    what s6 does.  There is never a second one on the same socket; it waits until the first ends.

    Args:
        make_app: Builds the application, in each worker.
        socket: A unix socket that only our own user may use; its directory must exist.
        workers: Processes; more than one have a main process above them.
        threads: Requests at once in each of them.
        started: Called once in each worker, after its application was built.
        stopping: Called once in each worker before it ends, after its requests were answered.
        pid_file: Gets the number of the main process.
        graceful_timeout: Seconds that requests have to end after SIGTERM; less than the supervisor
            waits before SIGKILL.
        level: Of what is logged, to stderr.
    """
    log_to_stderr(level)
    settings = {
        "bind": f"unix:{socket}",
        "umask": 0o177,
        "worker_class": "gthread",
        "workers": workers,
        "threads": threads,
        "timeout": _HEARTBEAT_TIMEOUT,
        "graceful_timeout": graceful_timeout,
        "limit_request_line": 8190,
        "limit_request_field_size": 8190,
        "forwarder_headers": "",
        "control_socket_disable": True,
        "logger_class": _Logger,
        "loglevel": "warning",
        "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
    }
    if pid_file is not None:
        files.write(pid_file, f"{os.getpid()}\n")
    application = _Application(make_app, settings, started, stopping)
    if workers > 1:
        application.run()
    else:
        _wait_until_alone(socket.with_name(f"{socket.name}.lock"))
        _work(application)


def log_to_stderr(level: str = "INFO") -> None:
    """Send what this process logs to stderr: UTC time, level, logger, message.

    Further lines of a message or traceback are indented, so that every record is recognised.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "\\r").replace("\n", "\n    ")


class _Logger(Logger):  # type: ignore[misc]
    """Has gunicorn's messages go where all others go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Application(BaseApplication):  # type: ignore[misc]
    def __init__(
        self,
        make_app: Callable[[], WSGIApplication],
        settings: dict[str, Any],
        started: Callable[[WSGIApplication], None] | None,
        stopping: Callable[[WSGIApplication], None] | None,
    ) -> None:
        self._make_app = make_app
        self._settings = settings
        self._started = started
        self._stopping = stopping
        self._serving_pid = 0
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)
        self.cfg.set("post_worker_init", self._worker_started)
        self.cfg.set("worker_exit", self._worker_exits)

    def load(self) -> WSGIApplication:
        return self._make_app()

    def _worker_started(self, worker: Any) -> None:
        self._serving_pid = os.getpid()
        if self._started is not None:
            self._started(worker.wsgi)

    def _worker_exits(self, _arbiter: Any, worker: Any) -> None:
        # gunicorn calls this in the main process, too, for a worker that it finds dead.
        if self._stopping is not None and self._serving_pid == os.getpid():
            self._stopping(worker.wsgi)


def _work(application: _Application) -> NoReturn:
    """Be a gunicorn worker without a main process."""
    settings = application.cfg
    logger = settings.logger_class(settings)
    listeners = create_sockets(settings, logger)
    worker = settings.worker_class(
        0, os.getppid(), listeners, application, settings.timeout, settings, logger
    )
    worker.pid = os.getpid()
    status = 0
    try:
        worker.init_process()  # returns after SIGTERM
        settings.worker_exit(None, worker)
    except SystemExit as end:  # SIGQUIT and SIGINT
        status = int(end.code or 0)
    except Exception:
        log.exception("The server has failed.")
        status = 1
    logging.shutdown()
    # Not sys.exit, which would wait for requests that have had their time.
    os._exit(status)


def _wait_until_alone(lock: Path) -> None:
    """Hold a lock for the rest of this process's life."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.warning("Another process still serves here; waiting for its end.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
