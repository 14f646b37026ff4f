"""Somebody who writes posts without a pause, and what became of each of them."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
import xmlrpc.client
from collections.abc import Sequence
from typing import Self
from xml.parsers.expat import ExpatError

from blogger import Correspondent
from e2e import kill
from hosted import Hosted
from load import Asked, Death

#: Seconds after which whoever waits for a machine that is dead has given up.
PATIENCE = 40.0


class Author:
    """Writes one post after the other as long as its ``with``.

    A post that was not acknowledged is not written again: another one follows.

    Args:
        url: Of the blog.
        about: What all titles begin with.
        pause: Seconds between two posts.
    """

    def __init__(self, url: str, about: str, pause: float = 0.3) -> None:
        self._url, self._about, self._pause = url, about, pause
        self._over = threading.Event()
        self._asked: list[Asked] = []
        self._broken: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        #: The titles of posts that were acknowledged.
        self.published: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert not self._broken, self._broken

    def go_on(self, posts: int, seconds: float = 60.0) -> None:
        """Wait until so many more posts have been acknowledged."""
        wanted, until = len(self.published) + posts, time.monotonic() + seconds
        while len(self.published) < wanted:
            failed = [str(asked) for asked in self._asked[-5:]]
            assert time.monotonic() < until, f"no {posts} posts in {seconds:.0f} s: {failed}"
            time.sleep(0.05)

    def failed(self, deaths: Sequence[Death] = ()) -> list[str]:
        """Return what was not acknowledged and was not in flight when a machine was killed."""
        return [
            f"{one}, killed at {[round(death.at, 3) for death in deaths]}"
            for one in self._asked
            if one.wrong and not any(death.excuses(one) for death in deaths)
        ]  # fmt: skip

    def _run(self) -> None:
        try:
            number = 0
            while not self._over.wait(self._pause):
                number += 1
                self._write(f"{self._about} {number}")
        except BaseException as error:  # told by whoever ends it
            self._broken.append(error)

    def _write(self, title: str) -> None:
        begun, wrong = time.monotonic(), ""
        try:
            Correspondent(self._url, PATIENCE).post(title, f"This is {title}.")
        except (
            OSError, xmlrpc.client.Error, http.client.HTTPException, ExpatError,
        ) as error:  # fmt: skip
            wrong = f"{type(error).__name__}: {error}"[:500]
        else:
            self.published.add(title)
        self._asked.append(Asked(self._url, title, begun, time.monotonic(), 0, "", wrong))


def kill_machine(site: Hosted, agent: str) -> Death:
    """Take a machine away all at once; return when that was."""
    machine = site.machine(agent)
    init = site.nutshell.cloud.driver.instances.init(machine.id)
    assert init is not None
    at = time.monotonic()
    kill(init.pid)
    site.nutshell.cloud.destroy_machine(machine.id)
    return Death(at, PATIENCE)


def php_titles(init: int, address: str, version: str) -> set[str]:
    """Ask the PHP of one backend for the titles of posts.

    Args:
        init: The first process of its machine: only the machine itself and proxies are answered.
        address: Of the machine.
        version: Of the code.
    """
    tree = f"/srv/code/{version}"
    query = "rest_route=/wp/v2/posts&per_page=100&_fields=title"
    variables = {
        "SCRIPT_FILENAME": f"{tree}/index.php", "SCRIPT_NAME": "/index.php",
        "DOCUMENT_ROOT": tree, "REQUEST_METHOD": "GET", "QUERY_STRING": query,
        "REQUEST_URI": f"/index.php?{query}", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "blog.example.org", "REDIRECT_STATUS": "200",
    }  # fmt: skip
    command = ["nsenter", "--net", "--target", str(init), "cgi-fcgi", "-bind", "-connect"]
    done = subprocess.run(
        [*command, f"{address}:9000"], env={**os.environ, **variables},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    _, _, body = done.stdout.replace("\r", "").partition("\n\n")
    return {post["title"]["rendered"] for post in json.loads(body)}


def database_titles(address: str, password: str) -> list[str]:
    """Ask one database for the titles of all posts that are published."""
    query = "SELECT post_title FROM wordpress.wp_posts WHERE post_status='publish'"
    query += " AND post_type='post'"
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-h", address, "-u", "mysqldb", "-N", "-B", "-e", query],
        env={**os.environ, "MYSQL_PWD": password},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
