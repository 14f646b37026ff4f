"""Bare HTTPS clients: as little Python as possible between a bench and a server."""

from __future__ import annotations

import socket
import ssl
import threading
import time

from harness import BenchError

from conpaas.machine.places import IdentityFiles


def client_context(files: IdentityFiles, *, shows_certificate: bool = True) -> ssl.SSLContext:
    """Return a context that trusts the bench's authority only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(files.ca)
    if shows_certificate:
        context.load_cert_chain(files.certificate, files.key)
    return context


def get(path: str, headers: str = "", *, keep: bool = False) -> bytes:
    """Return a GET request."""
    kind = "keep-alive" if keep else "close"
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: {kind}\r\n{headers}\r\n".encode()


def connect(address: tuple[str, int], context: ssl.SSLContext) -> ssl.SSLSocket:
    """Open a TLS connection."""
    raw = socket.create_connection(address, 30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw)


def ask(connection: ssl.SSLSocket, request: bytes) -> bytes:
    """Send a request on a connection; return the whole answer."""
    connection.sendall(request)
    answer = connection.recv(65536)
    while b"\r\n\r\n" not in answer:
        answer += _more(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"content-length:" in lowered:
        length = int(lowered.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += _more(connection)
    elif b"transfer-encoding: chunked" in lowered:
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: ssl.SSLSocket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise OSError("the answer ended early")
    return data


def ask_fresh(address: tuple[str, int], context: ssl.SSLContext, request: bytes) -> bool:
    """Make one call over a new connection; return whether the answer is a whole 200."""
    try:
        with connect(address, context) as connection:
            return ask(connection, request).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def load(
    address: tuple[str, int], context: ssl.SSLContext, request: bytes, *, clients: int, each: int
) -> float:
    """Let some clients ask at once over kept connections; return the seconds of one request.

    Raises:
        BenchError: An answer was none.
    """
    connections = [connect(address, context) for _ in range(clients)]
    failed: list[str] = []
    ready = threading.Barrier(clients + 1)

    def client(connection: ssl.SSLSocket) -> None:
        ready.wait()
        try:
            for _ in range(each):
                answer = ask(connection, request)
                if not answer.startswith(b"HTTP/1.1 200"):
                    failed.append(repr(answer[:300]))
                    return
        except OSError as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=client, args=(one,)) for one in connections]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begin
    for connection in connections:
        connection.close()
    if failed:
        raise BenchError(f"{len(failed)} clients got no good answer: {failed[0]}")
    return wall / (clients * each)
