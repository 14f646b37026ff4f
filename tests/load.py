"""A steady load on a web application, of which every single request is accounted for.

It is bounded (few workers, each with a pause between its requests) and for our own instances
only.  A worker keeps its connection, as browsers do; like them it asks again, once, when a kept
connection turns out to be closed before anything of an answer has come (RFC 9110, 9.2.2).
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

#: Looks at the path, the status and the body of an answer; returns what is wrong, "" if nothing.
Check = Callable[[str, int, str], str]


@dataclass(frozen=True)
class Asked:
    """One request, as its client saw it.

    Args:
        url: Of the application.
        path: What was asked for.
        begun, ended: Seconds of :func:`time.monotonic`.
        status: Of the answer; 0 when there was none.
        body: Of the answer, or the part that came.
        wrong: Why it failed; "" when it did not.
    """

    url: str
    path: str
    begun: float
    ended: float
    status: int
    body: str
    wrong: str

    def __str__(self) -> str:
        took = f"{1000 * (self.ended - self.begun):.0f} ms"
        return f"{self.begun:.3f} {took} {self.url} {self.path} {self.status} {self.wrong}"


@dataclass(frozen=True)
class Death:
    """A machine that was killed.

    Args:
        at: Just before it was, in seconds of :func:`time.monotonic`.
        patience: Seconds after which whoever waits for it gives up: the time-out of the proxies.
    """

    at: float
    patience: float

    def excuses(self, asked: Asked) -> bool:
        """Whether a request may have been in flight on the machine when it died."""
        return asked.begun <= self.at < asked.ended <= self.at + self.patience


class Load:
    """A load that lasts as long as its ``with``.

    Args:
        urls: Of the application, one for each proxy; workers take them in turns.
        paths: What each worker asks for, in turns.
        check: What an answer must be; what has another status than 200 is always wrong.
        workers: That ask at once.
        rate: Requests of each worker in a second, at most.
        patience: Seconds that a worker waits for an answer.
    """

    def __init__(
        self,
        urls: Sequence[str],
        paths: Sequence[str],
        check: Check = lambda path, status, body: "",
        *,
        workers: int = 4,
        rate: float = 25.0,
        patience: float = 90.0,
    ) -> None:
        self._urls, self._paths, self._check = list(urls), list(paths), check
        self._pause, self._patience = 1 / rate, patience
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._broken: list[BaseException] = []
        #: How often a kept connection was found closed, and the request made again.
        self.reconnected = 0
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self._broken, self._broken

    @property
    def asked(self) -> list[Asked]:
        """All requests that have ended, in the order of their beginnings."""
        with self._lock:
            return sorted(self._asked, key=lambda one: one.begun)

    def go_on(self, requests: int, seconds: float = 30.0) -> None:
        """Wait until so many more requests have begun and ended."""
        begin, until = time.monotonic(), time.monotonic() + seconds
        while sum(one.begun >= begin for one in self.asked) < requests:
            assert time.monotonic() < until, f"no {requests} requests in {seconds:.0f} s"
            time.sleep(0.02)

    def failed(self, deaths: Sequence[Death] = ()) -> list[Asked]:
        """Return what failed and was not in flight on a machine that was killed."""
        return [
            one for one in self.asked
            if one.wrong and not any(death.excuses(one) for death in deaths)
        ]  # fmt: skip

    def none_failed(self, deaths: Sequence[Death] = ()) -> None:
        """Assert that nothing failed but what was in flight on a machine that was killed."""
        asked, failed = self.asked, self.failed(deaths)
        assert asked, "there was no load"
        shown = "\n".join(str(one) for one in failed[:20])
        told = [f"killed at {death.at:.3f}" for death in deaths]
        assert not failed, f"{len(failed)} of {len(asked)} failed {told}:\n{shown}"

    # -- a worker -------------------------------------------------------------------------------

    def _run(self, number: int) -> None:
        url = self._urls[number % len(self._urls)]
        connection = Connection(url, self._patience)
        try:
            for path in itertools.islice(itertools.cycle(self._paths), number, None):
                asked = self._ask(connection, url, path)
                with self._lock:
                    self._asked.append(asked)
                if self._over.wait(max(0.0, asked.begun + self._pause - time.monotonic())):
                    return
        except BaseException as error:  # told by whoever ends the load
            self._broken.append(error)
        finally:
            with self._lock:
                self.reconnected += connection.reconnected
            connection.close()

    def _ask(self, connection: Connection, url: str, path: str) -> Asked:
        begun = time.monotonic()
        status, body = 0, ""
        try:
            status, body = connection.get(path)
            wrong = self._check(path, status, body) if status == 200 else f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            wrong = f"{type(error).__name__}: {error}"
        return Asked(url, path, begun, time.monotonic(), status, body, wrong)


class Connection:
    """A kept connection to a web application.

    Args:
        url: Of the application.
        patience: Seconds to wait for an answer.
        headers: Of each request.
    """

    def __init__(self, url: str, patience: float, headers: dict[str, str] | None = None) -> None:
        self._host = urlsplit(url).netloc
        self._patience, self._headers = patience, dict(headers or {})
        self._connection: http.client.HTTPConnection | None = None
        self.reconnected = 0

    def get(self, path: str) -> tuple[int, str]:
        """Ask for a path; return the status and the body.

        Raises:
            OSError, http.client.HTTPException: There is no answer, or no whole one.
        """
        if self._connection is not None:
            try:
                return self._once(self._connection, path)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # Nothing of an answer: the other side had closed what both kept.
                self.close()
                self.reconnected += 1
        self._connection = http.client.HTTPConnection(self._host, timeout=self._patience)
        return self._once(self._connection, path)

    def _once(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            raise
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        try:
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # Not to be taken for a closed connection: a part of an answer has come.
            raise http.client.HTTPException(f"the answer broke off: {error!r}") from error
        if answer.will_close:
            self.close()
        return answer.status, body.decode(errors="replace")

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
