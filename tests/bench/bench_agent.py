"""An agent of helloworld with its nginx: how much memory it takes, how soon it answers.

Beside a bare mTLS server of Python's own http.server.  Memory is the proportional set size of
all processes, after a few calls.  The start is the time from the start of the processes to the
first answer to a call over mTLS, and the CPU time that they have used by then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from calls import ask_fresh, client_context, get
from harness import (
    Figure,
    Workbench,
    alternate,
    cpu_of,
    free_port,
    median_of,
    memory_of,
    wait_until,
)
from servers import APPLICATION, HOST, MANAGER, OWNER, AgentHome, Director, front, machine_command

from conpaas.certificates import Identity, Role
from conpaas.front import ClientCertificates

_BARE = """\
import http.server, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

directory, port = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
context.load_verify_locations(directory + "/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler, False)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.server_bind()
server.server_activate()
server.serve_forever()
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure memory, and time and CPU time of the start."""
    with Workbench() as bench:
        director = Director(bench)
        places = AgentHome(bench, director.url).places
        manager = Identity(Role.MANAGER, OWNER, APPLICATION, MANAGER)
        context = client_context(bench.member(manager, bench.directory / "caller"))
        made, port = front(
            bench, "agent-front", places.sockets / "agent.sock", places.identity,
            ClientCertificates.REQUIRED,
        )  # fmt: skip
        bare_port = free_port()
        bare = [sys.executable, "-c", _BARE, str(places.configuration), str(bare_port)]

        def start(port: int, *commands: list[str]) -> tuple[float, float, float]:
            request = get("/api/v1/check")
            with ExitStack() as stack:
                begin = time.perf_counter()
                pids = [stack.enter_context(bench.running(one)).pid for one in commands]
                wait_until(
                    lambda: ask_fresh((HOST, port), context, request), "there is no answer", 0.01
                )
                wall, cpu = time.perf_counter() - begin, cpu_of(*pids)
                for _ in range(20):
                    ask_fresh((HOST, port), context, request)
                time.sleep(0.5)
                return memory_of(*pids), 1000 * wall, 1000 * cpu

        floor, own = alternate(
            lambda: start(bare_port, bare),
            lambda: start(port, machine_command(Role.AGENT, places), made.command()),
            runs=runs,
        )
    for place, (kind, unit) in enumerate(
        (("memory", "MB"), ("start, time", "ms"), ("start, CPU", "ms"))
    ):
        yield Figure(
            f"an agent with its nginx: {kind}",
            median_of([one[place] for one in floor]),
            median_of([one[place] for one in own]),
            unit,
            1.5,
        )
