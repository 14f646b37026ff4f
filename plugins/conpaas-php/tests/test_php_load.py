"""While nodes come and go, and are told new things, no request fails."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from conpaas_php.testing import VERSION, Node, Site, ask
from conpaas_web.parts import WebPart

FILES = {
    "work.php": "<?php usleep(2000); echo 'worked';",
    "slow.php": "<?php while (!file_exists(__DIR__ . '/go')) { usleep(5000); clearstatcache(); }"
    " echo 'slow';",
    "index.php": "<?php echo 'front ', file_get_contents('php://input');",
    "file.txt": "a file",
    "crash.php": "<?php posix_kill(getmypid(), 9);",
    "count.php": "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;"
    " usleep(500); echo $_SESSION['n'], ' ', $_SERVER['SERVER_ADDR'];",
}
ASKED = (
    ("GET", "/work.php", None, b"worked"),
    ("GET", "/file.txt", None, b"a file"),
    ("POST", "/pretty/url", b"the body", b"front the body"),
)


@dataclass
class Load:
    """What came of the requests that were made all the while."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)


@contextmanager
def load(proxy: Node, clients: int = 4) -> Iterator[Load]:
    """Make requests, each on a connection of its own, until the end of the block."""
    done, told = threading.Event(), Load()

    def work() -> None:
        while not done.is_set():
            for method, path, body, wanted in ASKED:
                try:
                    answer = proxy.ask(path, method, body)
                except (OSError, http.client.HTTPException) as error:
                    told.wrong.append(f"{method} {path}: {error!r}")
                    continue
                if (answer.status, answer.body) == (200, wanted):
                    told.right += 1
                else:
                    told.wrong.append(f"{method} {path}: {answer.status} {answer.text[:100]}")

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.2)
        yield told
        time.sleep(0.2)
    finally:
        done.set()
        for thread in threads:
            thread.join()


@dataclass
class Farm:
    """A proxy, with web nodes and backends."""

    site: Site
    proxy: Node
    web: list[Node] = field(default_factory=list)
    backends: list[Node] = field(default_factory=list)

    def tell_proxy(self, version: str = VERSION) -> None:
        part = self.site.proxy_part(self.web, self.backends, version=version)
        self.proxy.agent.run_proxy(part)

    def add_backend(self) -> Node:
        node = self.site.node("backend", shared=True)
        node.upload(FILES)
        node.agent.run_backend(self.site.backend_part(self.proxy))
        self.backends.append(node)
        self.tell_proxy()
        return node

    def add_web(self) -> Node:
        node = self.site.node("web", shared=True)
        node.upload(FILES)
        node.agent.run_web(WebPart((self.proxy.address,), permalinks=True))
        self.web.append(node)
        self.tell_proxy()
        return node


@pytest.fixture(scope="module")
def farm(site: Site) -> Farm:
    farm = Farm(site, site.node("proxy", shared=True))
    for _ in range(2):
        farm.add_backend()
        farm.add_web()
    return farm


def test_backends_and_web_nodes_come_and_go(farm: Farm) -> None:
    with load(farm.proxy) as told:
        for _ in range(2):
            backend, web = farm.add_backend(), farm.add_web()
            farm.backends.remove(backend)
            farm.web.remove(web)
            farm.tell_proxy()
            backend.leave("backend")
            web.leave("web")
    assert told.wrong == []
    assert told.right > 50


def test_backends_are_told_new_settings(farm: Farm) -> None:
    with load(farm.proxy) as told:
        for limit in ("100M", "101M", "102M"):
            settings = {"memory_limit": limit}
            for backend in farm.backends:
                assert backend.agent.run_backend(
                    farm.site.backend_part(farm.proxy, settings=settings)
                )
    assert told.wrong == []
    assert told.right > 50


def test_versions_are_switched(farm: Farm) -> None:
    for node in (*farm.web, *farm.backends):
        node.upload(FILES, "code-b")
    with load(farm.proxy) as told:
        for version in ("code-b", VERSION, "code-b", VERSION):
            farm.tell_proxy(version)
    assert told.wrong == []


def test_what_dies_costs_at_most_the_requests_in_flight_on_it(farm: Farm) -> None:
    victim, web = farm.add_backend(), farm.add_web()
    clients = 4
    with load(farm.proxy, clients) as told:
        for node, program in ((victim, "php-fpm"), (web, "nginx-web")):
            node.supervisor._pause = 1000  # as a machine that is gone: nothing comes back
            pid = node.supervisor.pid(program)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
        failed = len(told.wrong)
        before = told.right
        time.sleep(0.5)
        assert len(told.wrong) == failed  # nobody is sent there any more
        assert told.right > before
    assert failed <= 2 * clients, told.wrong
    farm.backends.remove(victim)
    farm.web.remove(web)
    farm.tell_proxy()


def test_code_that_crashes_keeps_nobody_from_the_rest(farm: Farm) -> None:
    crashed = [farm.proxy.ask("/crash.php") for _ in range(10)]
    assert {answer.status for answer in crashed} == {503}
    answers = [farm.proxy.ask("/work.php") for _ in range(10)]
    assert [answer.status for answer in answers] == [200] * 10


def test_slow_requests_hold_nobody_up_when_settings_change(farm: Farm) -> None:
    answers: list[str] = []
    slow = [
        threading.Thread(target=lambda: answers.append(farm.proxy.ask("/slow.php").text))
        for _ in range(4)
    ]
    for thread in slow:
        thread.start()
    time.sleep(0.2)
    for backend in farm.backends:
        settings = {"memory_limit": "90M"}
        backend.agent.run_backend(farm.site.backend_part(farm.proxy, settings=settings))
    assert farm.proxy.ask("/work.php").text == "worked"
    assert not answers  # they still run
    (farm.proxy.root / "srv/code" / VERSION / "go").touch()
    for thread in slow:
        thread.join()
    assert answers == ["slow"] * 4


def test_a_session_is_the_same_on_all_backends_and_loses_no_update(farm: Farm) -> None:
    seen: list[int] = []
    lock = threading.Lock()
    cookie = {"Cookie": f"PHPSESSID={'a1b2c3' * 4}"}

    def count() -> None:
        for _ in range(25):
            for number in farm.proxy.ask("/count.php", headers=cookie).text.split()[:1]:
                with lock:
                    seen.append(int(number))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 201))
    taken = Counter(node.agent.php.status().accepted > 0 for node in farm.backends)
    assert taken[True] == len(farm.backends) >= 2


def test_clients_may_keep_their_connection(farm: Farm) -> None:
    connection = http.client.HTTPConnection(farm.proxy.address, timeout=10)
    connection.connect()
    socket = connection.sock
    try:
        for method, path, body, wanted in ASKED * 10:
            connection.request(method, path, body)
            assert connection.getresponse().read() == wanted
            assert connection.sock is socket
    finally:
        connection.close()
    assert ask(farm.proxy.address, "/file.txt").headers["connection"] == "keep-alive"
