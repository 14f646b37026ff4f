"""gunicorn serves an application on a private unix socket."""

import contextlib
import http.client
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, os, time
from pathlib import Path
from conpaas.serving import serve, log_to_stderr
import logging

def say(*words):  # in one piece, as several processes write to the same file
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def broken():
    yield b"first"
    raise ValueError("in the middle of an answer")

def make_app():
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            say("slow")
            time.sleep(0.5)
        if environ["PATH_INFO"] == "/endless":
            say("endless")
            time.sleep(60)
        if environ["PATH_INFO"] == "/log":
            logging.getLogger("some.where").warning("two\\nlines")
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/broken":
            return broken()
        return [str(os.getpid()).encode()]
    say("made", os.getpid())
    return app

serve(
    make_app, Path("server.sock"),
    workers=int(sys.argv[1]), threads=4, graceful_timeout=int(sys.argv[2]),
    started=lambda app: say("started", os.getpid(), callable(app)),
    stopping=lambda app: say("stopping", os.getpid(), callable(app)),
    pid_file=Path("server.pid"),
)
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self.path))


class Server:
    def __init__(self, directory, workers=1, graceful_timeout=8):
        self.directory = directory
        self.socket = directory / "server.sock"
        self.out = directory / "out"
        self.err = directory / "err"
        with self.out.open("a") as out, self.err.open("a") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(workers), str(graceful_timeout)],
                cwd=directory,
                stdout=out,
                stderr=err,
            )

    def get(self, path="/"):
        connection = UnixConnection(self.socket)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def await_line(self, text, count=1):
        deadline = time.monotonic() + 15
        while True:
            lines = [line for line in self.out.read_text().splitlines() if text in line]
            if len(lines) >= count:
                return lines
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.005)

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path):
    servers = []

    def start(**options):
        servers.append(Server(tmp_path, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)


def test_an_application_is_served_by_one_process(start):
    server = start()
    (line,) = server.await_line("started")
    pid = server.process.pid
    assert line == f"started {pid} True"
    assert server.get() == str(pid).encode()
    assert (server.directory / "server.pid").read_text() == f"{pid}\n"
    assert server.stop() == 0
    assert server.await_line("stopping") == [f"stopping {pid} True"]
    assert server.err.read_text() == ""


def test_only_its_user_may_use_the_socket(start):
    server = start()
    server.await_line("started")
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600


def test_several_workers_each_build_start_and_stop_the_application(start):
    server = start(workers=2)
    pids = {line.split()[1] for line in server.await_line("started", count=2)}
    assert len(pids) == 2
    assert str(server.process.pid) not in pids
    assert server.get().decode() in pids
    assert server.stop() == 0
    assert {line.split()[1] for line in server.await_line("stopping")} == pids


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_answered_before_the_end(start, workers):
    server = start(workers=workers)
    server.await_line("started")
    connection = UnixConnection(server.socket)
    with contextlib.closing(connection):
        connection.request("GET", "/slow")
        server.await_line("slow")
        server.process.terminate()
        assert connection.getresponse().read().isdigit()
    assert server.process.wait(10) == 0


def test_endless_requests_do_not_delay_the_end_for_ever(start):
    server = start(graceful_timeout=1)
    server.await_line("started")
    connection = UnixConnection(server.socket)
    with contextlib.closing(connection):
        connection.request("GET", "/endless")
        server.await_line("endless")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
    server.await_line("stopping")


def test_an_answer_that_fails_in_the_middle_never_looks_like_a_whole_one(start):
    server = start()
    server.await_line("started")
    with pytest.raises(http.client.IncompleteRead) as broken:
        server.get("/broken")
    assert broken.value.partial == b"first"
    assert server.get()  # the next one is none the worse


def test_after_a_kill_it_starts_again_on_the_same_socket(start):
    server = start()
    server.await_line("started")
    server.stop(signal.SIGKILL)
    assert server.socket.exists()
    again = start()
    again.await_line("started", count=2)
    assert again.get() == str(again.process.pid).encode()


def test_a_second_server_waits_until_the_first_has_ended(start):
    first = start()
    first.await_line("started")
    second = start()
    deadline = time.monotonic() + 10
    while "waiting for its end" not in second.err.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert second.get() == str(first.process.pid).encode()

    first.stop()

    second.await_line("started", count=2)
    assert second.get() == str(second.process.pid).encode()


def test_what_is_logged_is_one_line_of_utc_time_level_and_name(start):
    server = start()
    server.await_line("started")
    server.get("/log")
    time_, level, name, message, second = server.err.read_text().split(maxsplit=4)
    assert (level, name, message) == ("WARNING", "some.where:", "two")
    assert second == "lines\n"
    assert "\n    lines" in server.err.read_text()
    logged = time.strptime(time_[:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(time.gmtime()) - time.mktime(logged)) < 100
    assert time_.endswith("Z")


def test_an_application_that_cannot_be_built_ends_the_process(tmp_path):
    program = "from pathlib import Path; from conpaas.serving import serve\n"
    program += f"serve(lambda: 1 // 0, Path({str(tmp_path / 'x.sock')!r}))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20
    )
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


def test_importing_starts_nothing():
    program = "import threading, conpaas.serving; print(threading.active_count())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == b"1\n"
