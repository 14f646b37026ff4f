"""200 agents asked at once: the manager's own way beside a bare asyncio loop.

Both keep their connections.  The agents are servers of two other processes, each with its address
(127.x.y.z) and certificate, and take 5 ms for an answer.  "CPU" is that of the asking side.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator

from calls import client_context, get
from harness import (
    BenchError,
    Figure,
    Workbench,
    alternate,
    median_of,
    tls_files,
    wait_until,
)

from conpaas.certificates import Identity, Role
from conpaas.machine.places import IdentityFiles
from conpaas.manager.nodes import Node
from conpaas.manager.ways import AGENT_PORT, HttpWays
from conpaas.transport import Peers

_AGENTS = 200
_PROCESSES = 2
_ROUNDS = 5  #: in a measurement
_SERVER = """\
import asyncio, json, ssl, sys
BODY = b'{"result": {"node": "node-1", "version": "3.0.0", "started": 1.0}}'
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
ANSWER += b"Content-Length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)

async def serve(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            await asyncio.sleep(0.005)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()

async def main():
    for host, port, directory in json.load(open(sys.argv[1])):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
        context.load_verify_locations(directory + "/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        await asyncio.start_server(serve, host, port, ssl=context)
    open(sys.argv[1] + ".ready", "w").close()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure time and CPU time of a round."""
    with Workbench() as bench:
        files = bench.member(Identity(Role.MANAGER, 1, 1, 1), bench.directory / "manager")
        nodes = _start_agents(bench)
        peers = Peers(tls_files(files))
        ways = HttpWays(peers, "https://127.0.0.1", 1)

        def ask_all() -> None:
            if any(answer is not None for answer in ways.check(nodes)):
                raise BenchError(f"an agent did not answer: {ways.check(nodes)}")

        with asyncio.Runner() as runner:
            bare = _BareLoop(files, nodes)
            runner.run(bare.open())
            floor, own = alternate(
                lambda: _timed(lambda: runner.run(bare.ask_all())),
                lambda: _timed(ask_all),
                runs=runs,
            )
            runner.run(bare.close())
        peers.close()
    for kind, place, aim in (("time", 0, 2.0), ("CPU", 1, None)):
        yield Figure(
            f"asking {_AGENTS} agents: {kind}",
            1000 * median_of([one[place] for one in floor]),
            1000 * median_of([one[place] for one in own]),
            "ms",
            aim,
        )


class _BareLoop:
    """Asks over connections of asyncio's streams, which it has opened before."""

    def __init__(self, files: IdentityFiles, nodes: list[Node]) -> None:
        self._context = client_context(files)
        self._nodes = nodes
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self) -> None:
        for node in self._nodes:
            stream = await asyncio.open_connection(node.address, AGENT_PORT, ssl=self._context)
            self._streams.append(stream)

    async def ask_all(self) -> None:
        await asyncio.gather(*[self._ask(*stream) for stream in self._streams])

    async def close(self) -> None:
        for _, writer in self._streams:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(get("/api/v1/check", keep=True))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        json.loads(await reader.readexactly(length))


def _timed(ask_all: Callable[[], None]) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(_ROUNDS):
        ask_all()
    return (time.perf_counter() - begin) / _ROUNDS, (time.process_time() - cpu) / _ROUNDS


def _start_agents(bench: Workbench) -> list[Node]:
    nodes, places = [], []
    for number in range(1, _AGENTS + 1):
        address = f"127.77.{number // 250}.{number % 250 + 1}"
        directory = bench.directory / f"agent-{number}"
        bench.member(Identity(Role.AGENT, 1, 1, number), directory)
        nodes.append(Node(f"node-{number}", "node", address, "local", number))
        places.append((address, AGENT_PORT, str(directory)))
    for part in range(_PROCESSES):
        file = bench.directory / f"agents-{part}.json"
        file.write_text(json.dumps(places[part::_PROCESSES]))
        bench.start([sys.executable, "-c", _SERVER, str(file)])
        ready = file.with_name(f"{file.name}.ready")
        wait_until(ready.exists, "the agents do not start")
    return nodes
