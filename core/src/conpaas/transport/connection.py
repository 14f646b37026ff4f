"""One TLS connection to another server, whose every wait has an end."""

from __future__ import annotations

import http.client
import io
import select
import ssl
import time
from typing import Any, cast

from conpaas.certificates import Identity
from conpaas.errors import DeniedError, InvalidError


class Connection(http.client.HTTPSConnection):
    """An HTTPS connection that knows whom it leads to, and since when it is idle.

    Args:
        host: Name or address.
        port: TCP port.
        context: Trusts one authority only, and checks no host name.
        generation: Of the certificates that the context was made with.
    """

    identity: Identity

    def __init__(self, host: str, port: int, context: ssl.SSLContext, generation: int) -> None:
        super().__init__(host, port, context=context)
        self.generation = generation
        self.idle_since = 0.0

    def open(self, seconds: float) -> None:
        """Connect within that time and find out who is there; nothing of ours is sent.

        Raises:
            DeniedError: The other side's certificate is no good, or names no identity.
            OSError: It cannot be reached.
        """
        deadline = time.monotonic() + seconds
        self.timeout = seconds
        try:
            self.connect()
        except ssl.SSLCertVerificationError as error:
            raise DeniedError(
                f"The certificate of {self.host}:{self.port} is refused: {error.verify_message}."
            ) from error
        sock = cast(ssl.SSLSocket, self.sock)
        self.identity = _identity(sock, f"{self.host}:{self.port}")
        self.clock = Clock(deadline)
        self.sock = cast(Any, _TimedSocket(sock, self.clock))

    @property
    def is_usable(self) -> bool:
        """Whether the other side has neither closed the connection nor said a word unasked."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        return not poll.poll(0)


class Clock:
    """How long the next wait may take: until a deadline, or for so many seconds each."""

    def __init__(self, deadline: float) -> None:
        self._deadline: float | None = deadline
        self._each = 0.0

    def until(self, deadline: float) -> None:
        """Let all waits together end by then (:func:`time.monotonic`)."""
        self._deadline = deadline

    def each(self, seconds: float) -> None:
        """Let every single wait take that long."""
        self._deadline = None
        self._each = seconds

    def left(self) -> float:
        """Return the seconds that the next wait may take.

        Raises:
            TimeoutError: None are left.
        """
        if self._deadline is None:
            return self._each
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left


class _TimedSocket:
    """What http.client needs of a socket, with the clock asked before every wait.

    A plain socket's time-out begins anew with each byte that arrives.
    """

    def __init__(self, sock: ssl.SSLSocket, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        self._readers = 0
        self._closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            self._sock.settimeout(self._clock.left())
            view = view[self._sock.send(view) :]

    def recv_into(self, buffer: Any) -> int:
        self._sock.settimeout(self._clock.left())
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self), 65536)

    def release(self) -> None:
        self._readers -= 1
        if self._closed and not self._readers:
            self._sock.close()

    def close(self) -> None:
        # http.client closes its connection before the answer has been read from it.
        self._closed = True
        if not self._readers:
            self._sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, sock: _TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._sock.release()
        super().close()


def _identity(sock: ssl.SSLSocket, address: str) -> Identity:
    certificate = sock.getpeercert() or {}
    names = cast(tuple[tuple[str, str], ...], certificate.get("subjectAltName", ()))
    for kind, name in names:
        if kind == "URI":
            try:
                return Identity.from_uri(name)[1]
            except InvalidError:
                break
    sock.close()
    raise DeniedError(f"The certificate of {address} names no ConPaaS identity.")
