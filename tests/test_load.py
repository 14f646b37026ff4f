"""The load of the tests finds what is wrong: here with servers that do wrong."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from load import Asked, Death, Load

Serve = Callable[[http.server.BaseHTTPRequestHandler, int], None]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    """Returns a function that has a server answer, and returns its URL."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def begin(answer: Serve) -> str:
        count = iter(range(1_000_000))

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                answer(self, next(count))

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        server = _Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def say(
    handler: http.server.BaseHTTPRequestHandler, body: bytes = b"fine", status: int = 200
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def load_on(url: str, requests: int = 40) -> Load:
    check = lambda path, status, body: "" if body == "fine" else f"said {body}"  # noqa: E731
    with Load([url], ["/"], check, workers=2, rate=400) as load:
        load.go_on(requests)
    return load


def test_a_good_server_fails_nothing(serve: Callable[[Serve], str]) -> None:
    load = load_on(serve(lambda handler, _: say(handler)))
    load.none_failed()
    assert len(load.asked) >= 40
    assert load.reconnected == 0


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (lambda handler: say(handler, status=502), "status 502"),
        (lambda handler: say(handler, b"bad"), "said bad"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "BadStatusLine"),
    ],
)
def test_one_wrong_answer_among_many_is_found(
    serve: Callable[[Serve], str],
    answer: Callable[[http.server.BaseHTTPRequestHandler], None],
    wrong: str,
) -> None:
    load = load_on(serve(lambda handler, n: answer(handler) if n == 20 else say(handler)))
    (failed,) = load.failed()
    assert wrong in failed.wrong
    with pytest.raises(AssertionError, match="1 of "):
        load.none_failed()


def test_an_answer_that_breaks_off_failed_and_a_kept_connection_that_is_closed_did_not(
    serve: Callable[[Serve], str],
) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        if number == 10:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfi")
            handler.close_connection = True
        else:
            say(handler)
            # Without a word: the client finds out with its next request.
            handler.close_connection = number == 20

    load = load_on(serve(answer))
    (failed,) = load.failed()
    assert "broke off" in failed.wrong
    assert load.reconnected == 1


def test_a_server_that_is_not_there_fails_everything() -> None:
    load = load_on("http://127.0.0.1:1/", 4)
    assert len(load.failed()) == len(load.asked) >= 4


def test_only_what_was_in_flight_when_a_machine_died_is_excused() -> None:
    now = time.monotonic()

    def asked(begun: float, ended: float) -> Asked:
        return Asked("", "/", now + begun, now + ended, 502, "", "status 502")

    death = Death(at=now, patience=60)
    assert death.excuses(asked(-1, 1))
    assert not death.excuses(asked(0.1, 1)), "it began when the machine was dead"
    assert not death.excuses(asked(-2, -1)), "it failed before"
    assert not death.excuses(asked(-1, 61)), "it took longer than anything may"
