"""What a server tells of itself in Prometheus' text format: its process, and its requests."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from conpaas.web import Request, Response

#: Seconds: questions to a database, to another server, and uploads.
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
#: What a request is called that nothing serves.
UNKNOWN = "unknown"


class Collected(Collector):
    """Metric families that are made whenever they are asked for.

    Args:
        collect: Makes them.
    """

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        """Tell nothing before: they are not asked for when this is registered."""
        return ()


class Metrics:
    """The metrics of one server, and the resource that answers with them.

    It answers whoever may reach it: the application that it is added to has the gate.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def add(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Tell more: families that are made whenever they are asked for."""
        self.registry.register(Collected(collect))

    def add_process(self) -> None:
        """Tell of this process: processor, memory, files, when it began; and our version."""
        ProcessCollector(registry=self.registry)
        self.add(version)

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self.registry)

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with everything."""
        send(resp, self.text())


class Requests:
    """Middleware that counts requests and measures how long they take.

    A request is known by ``req.context.operation``, which whoever finds out what is called sets
    to a name of which there are few, else by its route.

    Args:
        registry: Gets the figures.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "conpaas_requests",
            "Requests answered, by operation and HTTP status.",
            ("operation", "status"),
            registry=registry,
        )
        self._time = Histogram(
            "conpaas_request_duration_seconds",
            "How long requests took, until their answer began.",
            ("operation",),
            buckets=_BUCKETS,
            registry=registry,
        )

    def process_request(self, req: Request, resp: Response) -> None:
        """Begin to measure."""
        req.context.began = time.perf_counter()

    def process_response(
        self, req: Request, resp: Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count."""
        operation = getattr(req.context, "operation", None) or req.uri_template or UNKNOWN
        self._count.labels(operation, str(resp.status_code)).inc()
        self._time.labels(operation).observe(time.perf_counter() - req.context.began)


def send(resp: Response, text: bytes | str) -> None:
    """Put metrics in the text format into an answer."""
    resp.content_type = CONTENT_TYPE_LATEST
    resp.data = text if isinstance(text, bytes) else text.encode()


def version() -> Iterable[Metric]:
    """Return the version of this process."""
    told = {"version": importlib.metadata.version("conpaas-core")}
    yield InfoMetricFamily("conpaas", "What runs here.", value=told)
