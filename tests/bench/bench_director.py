"""The director: a list of 10 applications, with the checks of token and owner.

Beside a bare Falcon application that says hello, run the same way: gunicorn with as many workers
and threads, behind the same nginx.  Four clients keep their connections and ask as fast as they
can.  "CPU" is that of all processes of the server.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator

from calls import client_context, get, load
from harness import Figure, Workbench, alternate, cpu_of, median_of
from servers import Director, Served, front, start_server, wait_for

from conpaas.director.config import DirectorSection
from conpaas.front import ClientCertificates

_CLIENTS = 4
_EACH = 150

_HELLO = """\
import ssl
import sys
from pathlib import Path
import falcon
from conpaas.serving import serve

class Hello:
    def on_get(self, req, resp):
        resp.media = {"hello": "world"}

def make_app():
    app = falcon.App()
    app.add_route("/hello", Hello())
    return app

serve(make_app, Path(sys.argv[1]), workers=int(sys.argv[2]), threads=int(sys.argv[3]))
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure time and CPU time of a request."""
    with Workbench() as bench:
        director = Director(bench)
        hello = _hello(bench, director)
        context = client_context(director.files, shows_certificate=False)
        bare, own = alternate(
            lambda: _load(hello, context, get("/hello", keep=True)),
            lambda: _load(
                director.served, context,
                get("/api/v1/application/list", _bearer(director), keep=True),
            ),
            runs=runs,
        )  # fmt: skip
        for kind, place in (("time", 0), ("CPU", 1)):
            yield Figure(
                f"list of 10 applications, a request: {kind}",
                1e6 * median_of([one[place] for one in bare]),
                1e6 * median_of([one[place] for one in own]),
                "us",
                3.0,
            )


def _bearer(director: Director) -> str:
    return f"Authorization: Bearer {director.token}\r\n"


def _load(served: Served, context: ssl.SSLContext, request: bytes) -> tuple[float, float]:
    before = cpu_of(*served.processes)
    seconds = load(served.address, context, request, clients=_CLIENTS, each=_EACH)
    return seconds, (cpu_of(*served.processes) - before) / (_CLIENTS * _EACH)


def _hello(bench: Workbench, director: Director) -> Served:
    script = bench.directory / "hello.py"
    script.write_text(_HELLO)
    socket = bench.directory / "hello.sock"
    made, port = front(bench, "bare", socket, director.files, ClientCertificates.OPTIONAL)
    as_many = DirectorSection(name="", url="")
    command = [sys.executable, str(script), str(socket)]
    command += [str(as_many.workers), str(as_many.threads)]
    served = start_server(bench, command, made, port)
    wait_for(served, director.files, "/hello", "the bare server does not answer")
    return served
