"""What it costs that web nodes ask backends for files that they lack (needs root).

A PHP service with a machine for each part.  ``wrk`` on 8 connections asks the proxy for a picture
that the code has written on the backend, and, in turns, for one that is in the uploaded code, so
that the web node has it.  Then for a permalink, which is no file: while web nodes ask backends,
and while they do not.  Makes a nutshell called ``bench`` and destroys it at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness import BenchError, Figure, alternate, median_of
from machines import Application, Service, nutshell
from php_services import address_of, fetch, put_code, wrk

from conpaas.rpc import finish

_SECONDS = 2
_SIZE = 20_000
_FILES = {
    "index.php": "<?php echo 'Hello, world!';",
    "write.php": "<?php echo file_put_contents(__DIR__ . '/written.jpg', "
    "file_get_contents(__DIR__ . '/own.jpg'));",
    "own.jpg": "x" * _SIZE,
}


def measure(runs: int) -> Iterator[Figure]:
    """Measure both."""
    with nutshell():
        service = Application().service("php")
        put_code(service, _FILES)
        finish(service.manager.add_nodes(nodes={"backend": 1, "web": 1}))
        url = address_of(service)
        if fetch(f"{url}write.php") != str(_SIZE) or fetch(f"{url}written.jpg") != "x" * _SIZE:
            raise BenchError("the backend's file is not served")
        base, ours = alternate(
            lambda: wrk(f"{url}own.jpg", _SECONDS),
            lambda: wrk(f"{url}written.jpg", _SECONDS),
            runs=runs,
        )
        yield Figure(
            "a file of a backend beside one of the web node's own",
            median_of(base), median_of(ours), "/s", 0.8, at_least=True,
        )  # fmt: skip
        base, ours = alternate(
            lambda: _permalink(service, "off"), lambda: _permalink(service, "on"), runs=runs
        )
        yield Figure(
            "permalinks while web nodes ask backends, and while not",
            median_of(base), median_of(ours), "/s", 0.95, at_least=True,
        )  # fmt: skip


def _permalink(service: Service, asking: str) -> float:
    finish(service.manager.set_web_config(ask_backends=asking))
    return wrk(f"{address_of(service)}2026/11/a-pretty-address", _SECONDS)
