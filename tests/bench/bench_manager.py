"""A manager: 3,000 calls, each over a new mTLS connection, and none of them may fail.

Beside ``return 200`` of the very same nginx, which shows what TLS and a client cost.  Then the
same call while 1,000 other TLS connections are open whose clients say nothing, beside the call
without them.
"""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from calls import ask_fresh, client_context, connect, get
from harness import BenchError, Figure, Workbench, alternate, cpu_of, median_of
from servers import Director, ManagerHome, Served, front, machine_command, start_server, wait_for

from conpaas.certificates import Role
from conpaas.front import ClientCertificates

_CALLS = 3000
_CLIENTS = 4
_SILENT = 1000
_BARE = 'location = /bare { return 200 "{}"; }'


def measure(runs: int) -> Iterator[Figure]:
    """Measure calls, failures, and calls among silent connections."""
    with Workbench() as bench:
        director = Director(bench)
        places = ManagerHome(bench, director.url).places
        made, port = front(
            bench, "manager-front", places.sockets / "manager.sock", places.identity,
            ClientCertificates.REQUIRED, locations=_BARE,
        )  # fmt: skip
        served = start_server(bench, machine_command(Role.MANAGER, places), made, port)
        wait_for(served, director.files, "/api/v1/check", "the manager does not answer")
        context = client_context(director.files)
        yield from _fresh_calls(served, context, runs)
        yield _among_silent(served, context, runs)


def _fresh_calls(served: Served, context: ssl.SSLContext, runs: int) -> Iterator[Figure]:
    failed = {"/bare": 0, "/api/v1/check": 0}
    each = -(-_CALLS // (runs + 1))

    def calls(path: str) -> tuple[float, float]:
        request = get(path)
        before, begin = cpu_of(*served.processes), time.perf_counter()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            good = list(
                pool.map(lambda _: ask_fresh(served.address, context, request), range(each))
            )
        wall = time.perf_counter() - begin
        failed[path] += good.count(False)
        return wall / each, (cpu_of(*served.processes) - before) / each

    bare, own = alternate(lambda: calls("/bare"), lambda: calls("/api/v1/check"), runs=runs)
    for kind, place in (("time", 0), ("CPU of the servers", 1)):
        yield Figure(
            f"a fresh mTLS call of a manager: {kind}",
            1e6 * median_of([one[place] for one in bare]),
            1e6 * median_of([one[place] for one in own]),
            "us",
            1.6 if place == 0 else None,
        )
    made = each * (runs + 1)
    lost = failed["/api/v1/check"]
    yield Figure(f"  of {made} such calls, failed", failed["/bare"], lost, "calls", 0, more=True)


def _among_silent(served: Served, context: ssl.SSLContext, runs: int) -> Figure:
    _allow_files(2 * _SILENT)
    request = get("/api/v1/check")

    def calls() -> float:
        times = []
        for _ in range(30):
            begin = time.perf_counter()
            if not ask_fresh(served.address, context, request):
                raise BenchError("a call failed")
            times.append(time.perf_counter() - begin)
        return median_of(times)

    def calls_among_silent() -> float:
        with ThreadPoolExecutor(_CLIENTS) as pool:
            silent = list(pool.map(lambda _: connect(served.address, context), range(_SILENT)))
        try:
            return calls()
        finally:
            for one in silent:
                one.close()

    without, among = alternate(calls, calls_among_silent, runs=min(runs, 5))
    return Figure(
        f"a call among {_SILENT} silent TLS connections: time",
        1e6 * median_of(without), 1e6 * median_of(among), "us", 1.2,
    )  # fmt: skip


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
