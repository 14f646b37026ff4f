"""The part of the PHP service that runs on each node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from conpaas.agent.base import AgentPlace, LogFile
from conpaas.errors import UnreachableError
from conpaas.rpc import expose
from conpaas.schema import from_json
from conpaas_php.memory import workers_that_fit
from conpaas_php.phpfpm import PhpFpm, Pool
from conpaas_web.access_log import rotate
from conpaas_web.agent import WebAgent
from conpaas_web.parts import BACKEND_PORT, CodeCheck, SessionStore
from conpaas_web.routing import Script

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Seconds that a check of the code may take.
_CHECK_TIMEOUT = 30.0


@dataclass(frozen=True)
class BackendPart:
    """What a PHP backend does.

    Args:
        proxies: Their addresses, sorted; nobody else is answered.
        settings: PHP settings by name, as php.ini writes their values; checked by the manager.
        environment: Variables that the code sees, by name.
        sessions: Where sessions are kept.
        timeout: Seconds after which a request is ended.
    """

    proxies: tuple[str, ...]
    settings: dict[str, str]
    environment: dict[str, str]
    sessions: SessionStore
    timeout: int


class PhpAgent(WebAgent):
    """Runs PHP."""

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        self.php = PhpFpm(place.root, place.supervisor, self.listen, BACKEND_PORT)

    @expose()
    def run_backend(self, part: Annotated[BackendPart, "What it does"]) -> bool:
        """Run PHP code, or otherwise than before; return whether that is news."""
        with self.changing_part("backend"):
            pool = Pool(
                allowed=tuple(sorted({*part.proxies, self.place.address, "127.0.0.1"})),
                settings=part.settings,
                environment=part.environment,
                sessions=part.sessions,
                timeout=part.timeout,
                workers=workers_that_fit(shared=self.place.role != "backend"),
            )
            changed = self.php.configure(pool)
            return self.keep_part("backend", part) or changed

    def leave_backend(self) -> None:
        """Stop PHP when the last request is answered."""
        self.php.leave()

    def resume_part(self, name: str, told: Any) -> None:
        """Run a part again as it was told."""
        if name == "backend":
            self.run_backend(from_json(told, BackendPart, name))
        else:
            super().resume_part(name, told)

    def run_script(self, version: str, script: Script, uri: str, query: str) -> CodeCheck:
        """Run a script of a version by this node's PHP."""
        tree = self.code_path(version)
        variables = {
            "SCRIPT_FILENAME": f"{tree}{script.path}",
            "DOCUMENT_ROOT": str(tree),
            "SCRIPT_NAME": script.path,
            "PATH_INFO": script.path_info,
            "DOCUMENT_URI": script.path + script.path_info,
            "QUERY_STRING": query,
            "REQUEST_METHOD": "GET",
            "REQUEST_URI": uri,
            "REQUEST_SCHEME": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "nginx",
            "SERVER_NAME": self.place.address,
            "SERVER_ADDR": self.place.address,
            "SERVER_PORT": "80",
            "REMOTE_ADDR": self.place.address,
            "REMOTE_PORT": "0",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REDIRECT_STATUS": "200",
            "HTTP_HOST": self.place.address,
            "HTTP_USER_AGENT": "ConPaaS",
        }
        try:
            answer = self.php.request(variables, seconds=_CHECK_TIMEOUT)
        except UnreachableError as error:
            return CodeCheck(0, (str(error),))
        return _check(answer)

    def logs(self) -> list[LogFile]:
        """Return the logs of the web service and those of PHP."""
        found = [
            LogFile("php-errors.log", "errors of the code", self.php.php_log),
            LogFile("php-slow.log", "what requests over 10 seconds were doing", self.php.slow_log),
            LogFile("php-fpm.log", "what PHP-FPM says", self.php.error_log),
        ]
        return [*super().logs(), *(log for log in found if log.path.exists())]

    def collect(self) -> Iterable[Metric]:
        """Return the figures of the web service and those of PHP."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield from super().collect()
        if not self.php.is_defined:
            return
        try:
            now = self.php.status()
        except UnreachableError:
            return  # what cannot be measured is left out
        workers = GaugeMetricFamily(
            "conpaas_php_workers", "Workers that run code, or wait for it.", labels=["state"]
        )
        workers.add_metric(["active"], now.active)
        workers.add_metric(["idle"], now.idle)
        yield workers
        yield GaugeMetricFamily(
            "conpaas_php_listen_queue", "Requests that wait for a worker.", value=now.queue
        )
        yield CounterMetricFamily(
            "conpaas_php_requests", "Requests that PHP has taken.", value=now.accepted
        )

    def rotate_logs(self) -> None:
        """Begin new files for logs that have become large."""
        super().rotate_logs()
        rotate(self.php.php_log, self.php.reopen_logs)
        rotate(self.php.slow_log, self.php.reopen_logs)


def _check(answer: bytes) -> CodeCheck:
    """Return what an answer of CGI says."""
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    status = 200
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
    lines = [*head.splitlines(), "", *body.splitlines()]
    return CodeCheck(status, tuple(line[:500] for line in lines[:12]))
