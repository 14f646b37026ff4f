"""Nodes of a PHP service on this machine: real nginx, PHP-FPM and redis on loopback addresses."""

from __future__ import annotations

import http.client
import io
import itertools
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from conpaas.agent.base import AgentPlace
from conpaas.features.code.packing import packed
from conpaas.rpc import Upload, finish
from conpaas.testing.node import LoneNode
from conpaas.testing.waiting import eventually as eventually
from conpaas_php.agent import BackendPart, PhpAgent
from conpaas_web.parts import ProxyPart, SessionStore, WebPart

# Each process that runs tests at the same time has a network of its own.
_NETWORK = 20 + os.getpid() % 230
_hosts = itertools.count(1)
VERSION = "code-a"
#: Code that tells what it sees.
FILES = {
    "index.php": "<?php echo 'index ', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'],"
    " ' ', file_get_contents('php://input');",
    "hello.php": "<?php echo 'hello';",
    "server.php": "<?php echo json_encode($_SERVER);",
    "env.php": "<?php echo json_encode(getenv());",
    "ini.php": "<?php echo ini_get($_GET['name']);",
    "sleep.php": "<?php usleep((int) ($_GET['ms'] * 1000)); echo 'slept';",
    "error.php": "<?php undefined_function();",
    "write.php": "<?php echo file_put_contents(__DIR__ . '/written.txt', 'by the code');",
    "outside.php": "<?php echo @file_get_contents($_GET['path']) === false ? 'no' : 'yes';",
    "upload.php": "<?php $i = fopen('php://input', 'r'); $n = 0; $h = hash_init('md5');"
    " while (($p = fread($i, 65536)) !== '' && $p !== false) { $n += strlen($p);"
    " hash_update($h, $p); } echo $n, ' ', hash_final($h), ' ', memory_get_peak_usage();",
    "style.css": "body { color: red }" + " " * 2000,
    "admin/index.php": "<?php echo 'admin ', $_SERVER['SCRIPT_NAME'];",
    "pages/index.html": "a page",
    "empty/notes.txt": "notes",
}


def new_address() -> str:
    """Return an address of this machine that nobody else here has."""
    number = next(_hosts)
    return f"127.{_NETWORK}.{number // 250}.{number % 250 + 2}"


@dataclass(frozen=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


def ask(
    address: str,
    path: str = "/",
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] = {},
    port: int = 80,
    source: str = "127.0.0.1",
) -> Answer:
    """Send one request, on a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=40, source_address=(source, 0))
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def raw(address: str, first: str, *lines: str, port: int = 80) -> bytes:
    """Send a request whose first line is as it stands, and return all that comes back."""
    with socket.create_connection((address, port), 10) as connection:
        request = [first, f"Host: {address}", "Connection: close", *lines, "", ""]
        connection.sendall("\r\n".join(request).encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def archive(files: Mapping[str, str | bytes]) -> Upload:
    """Return files as code is sent to nodes."""
    when = dict.fromkeys(files, 1_700_000_000)
    return Upload(io.BytesIO(packed(files, times=when)))


class NeighbourAgent(PhpAgent):
    """The agent of a machine whose code finds the files of the other machines here by their paths.

    Proxies name the paths that scripts have on backends, which are the same on real machines.
    """

    def __init__(self, place: AgentPlace) -> None:
        super().__init__(place)
        confinement = self.php.confinement
        self.php.confinement = replace(
            confinement, places=(*confinement.places, place.root.parent)
        )


class Node(LoneNode[PhpAgent]):
    """A machine of a PHP service."""

    def __init__(
        self,
        root: Path,
        role: str = "backend",
        address: str = "",
        agent: type[PhpAgent] = PhpAgent,
    ) -> None:
        super().__init__(root, agent, role, address or new_address())

    def upload(self, files: Mapping[str, str | bytes], version: str = VERSION) -> None:
        """Bring a version of the code here."""
        self.agent.update_code(version, archive(files), 1 << 28, 1000)

    def processes(self, program: str) -> list[int]:
        """Return the numbers of a program's processes, the one that is supervised first."""
        pid = self.supervisor.pid(program)
        if pid is None:
            return []
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]

    def leave(self, part: Any) -> None:
        """Leave a part, and wait until that is done."""
        finish(self.agent.leave_part(part))

    def ask(self, path: str = "/", *arguments: Any, **named: Any) -> Answer:
        """Send a request to this node's proxy."""
        return ask(self.address, path, *arguments, **named)


@dataclass
class Site:
    """Nodes that may be made, and how they are told what to do."""

    directory: Path
    sessions: SessionStore
    nodes: list[Node] = field(default_factory=list)

    def node(self, role: str = "backend", shared: bool = False) -> Node:
        """Return a new machine; all that are shared have the same code."""
        root = self.directory / f"node-{len(self.nodes)}"
        root.mkdir()
        (self.directory / "srv").mkdir(exist_ok=True)
        if shared:
            (root / "srv").symlink_to("../srv")
        node = Node(root, role, agent=NeighbourAgent if shared else PhpAgent)
        self.nodes.append(node)
        return node

    def backend_part(
        self,
        *proxies: Node,
        settings: Mapping[str, str] = {},
        environment: Mapping[str, str] = {},
        timeout: int = 20,
    ) -> BackendPart:
        """Return what a backend of these proxies does."""
        addresses = tuple(sorted(node.address for node in proxies))
        return BackendPart(addresses, dict(settings), dict(environment), self.sessions, timeout)

    def proxy_part(
        self,
        web: list[Node],
        backends: list[Node],
        version: str = VERSION,
        permalinks: bool = True,
        body_limit: int = 1 << 20,
        timeout: int = 25,
    ) -> ProxyPart:
        """Return what a proxy before these nodes does."""
        return ProxyPart(
            version,
            tuple(sorted(node.address for node in web)),
            tuple(sorted(node.address for node in backends)),
            permalinks,
            body_limit,
            timeout,
        )

    def whole(self, files: Mapping[str, str | bytes], permalinks: bool = True) -> Node:
        """Return a machine that does everything, with code."""
        node = self.node("proxy")
        self.run_everything(node, files, permalinks)
        return node

    def run_everything(
        self, node: Node, files: Mapping[str, str | bytes], permalinks: bool = True
    ) -> None:
        """Have a machine do everything, with code."""
        node.upload(files)
        node.agent.run_backend(self.backend_part(node))
        node.agent.run_web(WebPart((node.address,), permalinks))
        node.agent.run_proxy(self.proxy_part([node], [node], permalinks=permalinks))

    def close(self) -> None:
        """End everything, without waiting for the last requests."""
        for node in self.nodes:
            for name in node.supervisor.names():
                # What is killed while it is still wanted comes back, and nginx does not hear a
                # signal that it gets while it starts.
                node.supervisor.stop(name, wait=0)
                node.supervisor.signal(name, "TERM")
            node.supervisor.shutdown()
