"""The pages: the dashboard of 20 applications with 5 services each.

Beside the director's own lists of what it shows, the 20 applications and their services, asked
over a kept connection, one after the other.  Then the director's list of applications again, while
200 pages are open and look for news as often as their script ever does when nothing changes (every
16 seconds), beside the same without them.  Last, what a browser loads for the first page, beside
the 100 kB that it may have.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from calls import ask, client_context, connect, get, load
from harness import BenchError, Figure, Workbench, alternate, median_of
from servers import Director, Frontend, Served

_EACH = 100
_PAGES = 200
_EVERY = 16.0


def measure(runs: int) -> Iterator[Figure]:
    """Measure the dashboard, its weight, and what open pages cost others."""
    with Workbench() as bench:
        director = Director(bench, applications=20, services=5)
        frontend = Frontend(bench, director)
        context = client_context(director.files, shows_certificate=False)
        session = f"Cookie: __Host-conpaas={director.session}\r\nX-Live: 1\r\n"
        bearer = f"Authorization: Bearer {director.token}\r\n"
        listing = get("/api/v1/application/list", bearer, keep=True)
        services = get("/api/v1/service/list", bearer, keep=True)
        page = get("/", session, keep=True)
        bare, own = alternate(
            lambda: sum(
                load(director.served.address, context, one, clients=1, each=_EACH)
                for one in (listing, services)
            ),
            lambda: load(frontend.served.address, context, page, clients=1, each=_EACH),
            runs=runs,
        )
        yield Figure(
            "dashboard of 20 applications of 5 services: time",
            1e6 * median_of(bare), 1e6 * median_of(own), "us", 3.0,
        )  # fmt: skip

        def beside_pages() -> float:
            with _open_pages(frontend.served, context, page):
                return load(director.served.address, context, listing, clients=1, each=_EACH)

        bare, own = alternate(
            lambda: load(director.served.address, context, listing, clients=1, each=_EACH),
            beside_pages,
            runs=runs,
        )
        yield Figure(
            f"a call among {_PAGES} open pages",
            1e6 * median_of(bare), 1e6 * median_of(own), "us", 1.2,
        )  # fmt: skip
        yield Figure(
            "first page with all it loads", 100.0, _weight(frontend, context, page), "kB", 1.0
        )


@contextmanager
def _open_pages(served: Served, context: ssl.SSLContext, page: bytes) -> Iterator[None]:
    """Keep pages open that ask for news, evenly spread, until the block ends."""
    over = threading.Event()
    failed: list[str] = []

    def look(first: float) -> None:
        connection = connect(served.address, context)
        if over.wait(first):
            return
        while True:
            if not ask(connection, page).startswith(b"HTTP/1.1 200"):
                failed.append("a page got no good answer")
            if over.wait(_EVERY * 8 / _PAGES):
                return connection.close()

    threads = [
        threading.Thread(target=look, args=(number * _EVERY / _PAGES,)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failed:
        raise BenchError(failed[0])


def _weight(frontend: Frontend, context: ssl.SSLContext, page: bytes) -> float:
    """Return the kB that go over the wire for the page, its style, script and pictures."""
    with connect(frontend.served.address, context) as connection:
        answer = ask(connection, page)
        body = answer.partition(b"\r\n\r\n")[2]
        found = re.findall(rb'(?:src|href)="(/static/[^"]+)"', body)
        total = len(body)
        for path in sorted(set(found)):
            total += len(ask(connection, get(path.decode(), keep=True)).partition(b"\r\n\r\n")[2])
    return total / 1000
