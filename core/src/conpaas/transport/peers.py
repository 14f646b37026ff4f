"""Calls to other servers over kept connections."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
import urllib.parse
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conpaas.certificates import Identity
from conpaas.errors import AgentError, DeniedError, InvalidError, UnreachableError
from conpaas.transport.answer import Answer
from conpaas.transport.connection import Connection

#: Whom a call may reach: a pattern, or a question that is answered with yes or no.
Expectation = Identity | Callable[[Identity], bool]
Body = bytes | IO[bytes] | Iterable[bytes]

_CHUNK = 65536
_KEPT_PER_PEER = 16
#: Less than the time after which the other side's nginx closes an idle connection.
_KEPT_SECONDS = 300.0
_ERROR_BODY_LIMIT = 1 << 20
#: Methods that change nothing, so that asking twice is as good as asking once.
_REPEATABLE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the authority's certificate, our own certificate and its key (if we have one)."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


class Peers:
    """Calls other servers of the deployment; safe to use from many threads.

    The other side must have a certificate of the deployment's authority, for the identity that is
    expected.  That is checked before anything is sent.

    A call is made twice only when nobody can notice: a connection that was kept may turn out to
    be closed.  If that is seen before anything was sent, another one is opened, for every
    method.  If it is seen afterwards and before the answer, only GET and HEAD are sent again; the
    rest may have been carried out, and the caller is told so.

    Args:
        tls: Our files.
        timeout: Seconds for a whole call that does not say otherwise.
        expect: Whom to expect where a call does not say.
        body_limit: Bytes of an answer that is not asked for as a stream.
    """

    def __init__(
        self,
        tls: TlsFiles,
        timeout: float = 30.0,
        expect: Expectation | None = None,
        body_limit: int = 64 << 20,
    ) -> None:
        self._tls = tls
        self._timeout = timeout
        self._expect = expect
        self._body_limit = body_limit
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], deque[Connection]] = defaultdict(deque)
        self._context = _context(tls)
        self._generation = 0
        self._last_sweep = time.monotonic()

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
        """Make a call and return the answer, whatever its status.

        Args:
            url: ``https://<host>:<port>``, or just ``<host>:<port>``.
            method: Of HTTP.
            path: With its query, beginning with ``/``.
            expect: Whom to reach.
            body: To send; a file or an iterator is sent piece by piece.
            headers: To send.
            timeout: Seconds for the whole call.  When the body is sent piece by piece, or the
                answer comes as a stream, for each piece of it.
            stream: Return as soon as the headers are there; read the body from
                :attr:`Answer.chunks`.  Bodies of errors are always in :attr:`Answer.body`.

        Raises:
            DeniedError: Someone else is there, or the certificate is no good.
            UnreachableError: There was no connection, or no answer in time.
            AgentError: The answer is no HTTP, or longer than the limit.
        """
        expected = expect or self._expect
        if expected is None:
            raise ValueError("A call must say whom it expects.")
        host, port = _host_and_port(url)
        call = _Call(
            f"{host}:{port}", method, path, body, dict(headers or {}), timeout or self._timeout
        )
        connection = self._take_kept(host, port, expected)
        if connection is not None:
            try:
                return self._exchange(call, connection, stream)
            except _NoAnswerError as error:
                if method not in _REPEATABLE:
                    raise call.failed(error.reason) from error.reason
        connection = self._open(call, host, port, expected)
        try:
            return self._exchange(call, connection, stream)
        except _NoAnswerError as error:
            raise call.failed(error.reason) from error.reason

    def reload(self) -> None:
        """Take the present certificate files for new connections; calls under way go on."""
        context = _context(self._tls)
        with self._lock:
            self._context = context
            self._generation += 1
        self.close()

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            kept, self._kept = self._kept, defaultdict(deque)
        for connections in kept.values():
            for connection in connections:
                connection.close()

    def _take_kept(self, host: str, port: int, expected: Expectation) -> Connection | None:
        while True:
            with self._lock:
                kept = self._kept.get((host, port))
                if not kept:
                    return None
                connection = kept.pop()
            fresh = time.monotonic() - connection.idle_since < _KEPT_SECONDS
            if fresh and connection.is_usable and _fits(connection.identity, expected):
                return connection
            # Somebody else at the other end may be a machine that had the address before.
            connection.close()

    def _open(self, call: _Call, host: str, port: int, expected: Expectation) -> Connection:
        with self._lock:
            context, generation = self._context, self._generation
        connection = Connection(host, port, context, generation)
        try:
            connection.open(call.timeout)
        except OSError as error:
            connection.close()
            raise UnreachableError(
                f"{call.address} does not answer ({_reason(error)}); {call} was not sent."
            ) from error
        except DeniedError:
            connection.close()
            raise
        if not _fits(connection.identity, expected):
            connection.close()
            whom = f"not {expected}" if isinstance(expected, Identity) else "who is not expected"
            raise DeniedError(
                f"At {call.address} is {connection.identity}, {whom}; {call} was not sent."
            )
        return connection

    def _exchange(self, call: _Call, connection: Connection, stream: bool) -> Answer:
        try:
            response = call.send(connection)
        except TimeoutError as error:
            connection.close()
            raise call.failed(error) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _NoAnswerError(error) from error
        except BaseException:
            connection.close()
            raise
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        chunks = _Chunks(call, connection, response, self._keep)
        if stream and response.status < 400:
            connection.clock.each(call.timeout)
            return Answer(response.status, headers, chunks=chunks)
        limit = _ERROR_BODY_LIMIT if stream else self._body_limit
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > limit:
                chunks.close()
                raise AgentError(
                    f"{call.address} answered {call} with more than {limit} bytes: ask for less."
                )
        return Answer(response.status, headers, bytes(body))

    def _keep(self, connection: Connection) -> None:
        now = time.monotonic()
        connection.idle_since = now
        surplus = []
        with self._lock:
            kept = self._kept[connection.host, connection.port]
            if connection.generation == self._generation and len(kept) < _KEPT_PER_PEER:
                kept.append(connection)
            else:
                surplus.append(connection)
            if now - self._last_sweep > _KEPT_SECONDS / 4:  # peers that are never called again
                self._last_sweep = now
                for address, connections in list(self._kept.items()):
                    while connections and now - connections[0].idle_since > _KEPT_SECONDS:
                        surplus.append(connections.popleft())
                    if not connections:
                        del self._kept[address]
        for other in surplus:
            other.close()


@dataclass(frozen=True)
class _Call:
    address: str
    method: str
    path: str
    body: Body | None
    headers: dict[str, str]
    timeout: float

    def send(self, connection: Connection) -> http.client.HTTPResponse:
        """Send the request and return the answer once its headers are there."""
        if self.body is None or isinstance(self.body, bytes):
            connection.clock.until(time.monotonic() + self.timeout)
        else:
            connection.clock.each(self.timeout)
        try:
            connection.request(self.method, self.path, self.body, self.headers)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            # The other side may have answered, "too large" for example, without reading it all.
            with suppress(OSError, http.client.HTTPException):
                return connection.getresponse()
            raise error
        if not (self.body is None or isinstance(self.body, bytes)):
            connection.clock.until(time.monotonic() + self.timeout)
        return connection.getresponse()

    def failed(self, error: Exception) -> UnreachableError | AgentError:
        """Return what a broken call means to its caller."""
        if isinstance(error, TimeoutError):
            return UnreachableError(
                f"{self.address} did not answer {self} within {self.timeout:g} s." + self._doubt()
            )
        if isinstance(error, OSError | http.client.RemoteDisconnected):
            return UnreachableError(
                f"{self.address} closed the connection during {self} ({_reason(error)})."
                + self._doubt()
            )
        return AgentError(f"{self.address} answered {self} with broken HTTP: {error!r}")

    def _doubt(self) -> str:
        if self.method in _REPEATABLE:
            return ""
        return " It may or may not have been carried out."

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


class _NoAnswerError(Exception):
    """The connection broke before the answer began."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Chunks(Iterator[bytes]):
    """The body of an answer; gives its connection back at the end."""

    def __init__(
        self,
        call: _Call,
        connection: Connection,
        response: http.client.HTTPResponse,
        keep: Callable[[Connection], None],
    ) -> None:
        self._call = call
        self._connection = connection
        self._response = response
        self._keep = keep
        self._ended = False

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            chunk = self._response.read1(_CHUNK)
            if not chunk and self._response.length:  # read1 is silent about an early end
                raise http.client.IncompleteRead(b"", self._response.length)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise self._call.failed(error) from error
        if not chunk:
            self._ended = True
            self._response.close()
            if self._connection.sock is not None:
                self._keep(self._connection)
            raise StopIteration
        return chunk

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._response.close()
            self._connection.close()

    __del__ = close


def _fits(identity: Identity, expected: Expectation) -> bool:
    return identity.matches(expected) if isinstance(expected, Identity) else expected(identity)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url if "//" in url else f"https://{url}")
    try:
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host = None
    if parts.scheme != "https" or not host:
        raise InvalidError(f"{url!r} is no address of a server: write https://<host>:<port>.")
    return host, port


def _context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # identities are checked instead
    context.load_verify_locations(tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "time is over"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
