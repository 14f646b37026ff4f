"""A network inside one process: the servers' real applications, without sockets and TLS."""

from __future__ import annotations

import io
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from conpaas.certificates import Identity
from conpaas.errors import DeniedError, UnreachableError
from conpaas.front import CERTIFICATE_HEADER
from conpaas.transport import Answer
from conpaas.transport.peers import Body, Expectation


@dataclass(frozen=True)
class _Server:
    identity: Identity
    app: Callable[..., Iterable[bytes]]


class Network:
    """Knows which application answers at which URL."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._silent: set[str] = set()
        self.unanswered: Counter[str] = Counter()  #: calls that found nobody, by URL
        self._calls: Counter[str] = Counter()
        self._changed = threading.Condition()

    def join(self, url: str, identity: Identity, app: Any) -> None:
        """Have an application answer at a URL, as the bearer of an identity."""
        self._servers[url] = _Server(identity, app)

    def has(self, url: str) -> bool:
        """Whether somebody has joined at a URL, and has not left."""
        return url in self._servers

    def leave(self, url: str) -> None:
        """Have nobody answer at a URL; calls that are being answered go on."""
        with self._changed:
            self._servers.pop(url, None)

    def drain(self, url: str, seconds: float = 10.0) -> bool:
        """Wait until no call to a URL is being answered; return whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._calls[url], seconds)

    def silence(self, url: str, silent: bool = True) -> None:
        """Have a server not answer, as if a cable were cut; or answer again."""
        (self._silent.add if silent else self._silent.discard)(url)

    def server(self, url: str) -> _Server:
        """Return what answers at a URL."""
        if url in self._silent or url not in self._servers:
            self.unanswered[url] += 1
            raise UnreachableError(f"{url} does not answer")
        return self._servers[url]

    @contextmanager
    def calling(self, url: str) -> Iterator[_Server]:
        """Return what answers at a URL, and note that it is called."""
        with self._changed:
            server = self.server(url)
            self._calls[url] += 1
        try:
            yield server
        finally:
            with self._changed:
                self._calls[url] -= 1
                self._changed.notify_all()


class NetworkPeers:
    """Calls over a :class:`Network`; stands in for :class:`conpaas.transport.Peers`.

    Args:
        network: Where the servers are.
        certificate: PEM of the caller's certificate, as the TLS front would hand it on.
    """

    def __init__(self, network: Network, certificate: str | None = None) -> None:
        self._network = network
        self._certificate = certificate
        self._closed = False

    def close(self) -> None:
        """Have every call fail from now on: the caller is dead."""
        self._closed = True

    def again(self) -> NetworkPeers:
        """Return the same caller, alive."""
        return NetworkPeers(self._network, self._certificate)

    def request(
        self,
        url: str,
        method: str,
        path: str,
        *,
        expect: Expectation | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> Answer:
        """Make a call and return the answer."""
        if self._closed:
            raise UnreachableError("whoever is calling is dead")
        given = dict(headers or {})
        if self._certificate is not None:
            given[CERTIFICATE_HEADER] = quote(self._certificate)
        with self._network.calling(url) as server:
            if expect is not None and not _fits(expect, server.identity):
                raise DeniedError(f"{url} is {server.identity}, not {expect}")
            status, answered, chunks = _call(server.app, method, path, body, given)
        if self._network.server(url) is not server:
            raise UnreachableError(f"{url} died in the middle of the call")
        if stream and status < 400:
            return Answer(status, answered, chunks=iter(chunks))
        content = b"".join(chunks)
        return Answer(status, answered, body=content)


def _fits(expect: Expectation, identity: Identity) -> bool:
    return identity.matches(expect) if isinstance(expect, Identity) else expect(identity)


def _call(
    app: Callable[..., Iterable[bytes]],
    method: str,
    path: str,
    body: Body | None,
    headers: Mapping[str, str],
) -> tuple[int, dict[str, str], Iterable[bytes]]:
    where, _, query = path.partition("?")
    stream, length = _body(body, headers)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote(where, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "network",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": stream,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "RAW_URI": path,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    told: list[Any] = []

    def start_response(status: str, answered: list[tuple[str, str]], exc: Any = None) -> None:
        told[:] = [int(status.split()[0]), {name.lower(): value for name, value in answered}]

    chunks = app(environ, start_response)
    return told[0], told[1], chunks


def _body(body: Body | None, headers: Mapping[str, str]) -> tuple[Any, int | None]:
    if body is None:
        return io.BytesIO(), 0
    if isinstance(body, bytes):
        return io.BytesIO(body), len(body)
    if hasattr(body, "read"):
        length = headers.get("Content-Length")
        if length is None:
            content = body.read()
            return io.BytesIO(content), len(content)
        return body, int(length)
    content = b"".join(body)
    return io.BytesIO(content), len(content)
