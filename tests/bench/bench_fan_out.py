"""200 agents asked at once: the manager's own way beside a bare asyncio loop.

Both keep their connections.  The agents are servers of two other processes, each with its address
(127.x.y.z) and certificate, and take 5 ms for an answer.  "CPU" is that of the asking side.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator

from calls import client_context, get
from harness import BenchError, Figure, Workbench, alternate, free_port, median_of, tls_files
from harness import wait_until

from conpaas.certificates import Identity, Role
from conpaas.machine.places import IdentityFiles
from conpaas.manager.nodes import Node, NodeState
from conpaas.manager.ways import HttpWays
from conpaas.transport import Peers
from conpaas.manager import ways as manager_ways

_AGENTS = 200
_PROCESSES = 2
_SERVER = """\
import asyncio, json, ssl, sys
ANSWER = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 11\\r\\n\\r\\n{"result":1}'[:-1]
ANSWER = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 12\\r\\n\\r\\n{"result":1}'

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
