"""What the proxy costs: requests of PHP through it, and straight to a backend (needs root).

A PHP service with a machine for each part.  ``wrk`` on 8 connections asks the proxy; and, in
turns, an nginx that this bench starts on the backend's own machine, which asks the same PHP there
and does nothing else.  Makes a nutshell called ``bench`` and destroys it at the end.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from harness import BenchError, Figure, alternate, median_of, wait_until
from machines import Application, init_of, nutshell
from php_services import address_of, fetch, inside, put_code, wrk

from conpaas.rpc import finish

_SECONDS = 2
_PORT = 8800
_DIRECTORY = "/tmp/bench-nginx"
_NGINX = f"""\
daemon off; user www-data; worker_processes 2;
pid {_DIRECTORY}/pid; error_log {_DIRECTORY}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {_DIRECTORY}/b; proxy_temp_path {_DIRECTORY}/p;
  fastcgi_temp_path {_DIRECTORY}/f; uwsgi_temp_path {_DIRECTORY}/u; scgi_temp_path {_DIRECTORY}/s;
  server {{
    listen ADDRESS:{_PORT};
    location / {{
      fastcgi_pass ADDRESS:9000;
      fastcgi_param SCRIPT_FILENAME /srv/code/VERSION/index.php;
      include /etc/nginx/fastcgi_params;
    }}
  }}
}}
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure both ways."""
    with nutshell():
        service = Application().service("php")
        version = put_code(service, {"index.php": "<?php echo 'Hello, world!';"})
        finish(service.manager.add_nodes(nodes={"backend": 1, "web": 1}))
        (backend,) = (n.ip for n in service.manager.list_nodes() if n.role == "backend")
        with _own_nginx(backend, version) as straight:
            # As the baseline: / would ask a web node first whether it is a file.
            proxy = f"{address_of(service)}index.php"
            base, ours = alternate(
                lambda: wrk(straight, _SECONDS), lambda: wrk(proxy, _SECONDS), runs=runs
            )
        yield Figure(
            "PHP through the proxy beside straight to a backend",
            median_of(base), median_of(ours), "/s", 0.92, at_least=True,
        )  # fmt: skip


@contextlib.contextmanager
def _own_nginx(address: str, version: str) -> Iterator[str]:
    """An nginx on a backend's machine that does nothing else; its URL."""
    init = init_of(address)
    directory = inside(init, _DIRECTORY)
    directory.mkdir(mode=0o755)
    config = directory / "nginx.conf"
    config.write_text(_NGINX.replace("ADDRESS", address).replace("VERSION", version))
    enter = ["nsenter", "--all", "--target", str(init)]
    nginx = subprocess.Popen([*enter, "/usr/sbin/nginx", "-c", f"{_DIRECTORY}/nginx.conf"])
    try:
        url = f"http://{address}:{_PORT}/"
        wait_until(lambda: bool(fetch(url)), "nginx on the backend does not answer")
        if "Hello" not in fetch(url):
            raise BenchError(f"{url} says {fetch(url)!r}")
        yield url
    finally:
        nginx.terminate()
        nginx.wait(15)
