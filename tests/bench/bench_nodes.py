"""Real machines: adding 1 node, and 10 at once, until each of them answers (needs root).

``add_nodes`` of a helloworld service, from the call until ``get_helloworld`` has the greetings of
the new nodes too.  Beside a bare instance of the same image on a local cloud: from ``create``
until a trivial server, which is all that runs in it, answers.  Adding 10 is beside adding 1: that
takes 10 times the CPU time, so that few cores cannot reach the aim.

Makes a nutshell called ``bench`` and destroys it at the end; images are kept.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from harness import BenchError, Figure, alternate, median_of, wait_until

from conpaas.api import Applications, Services
from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel
from conpaas.clouds.local import LocalCloud
from conpaas.director import make, users
from conpaas.director.database import open_database
from conpaas.director.models import User
from conpaas.nutshell.nutshell import USERNAME, Places
from conpaas.plugins import Plugins
from conpaas.rpc import finish, stub
from conpaas.transport import Peers, TlsFiles

_NAME = "bench"
_MANY = 10
_REST = 1.5  #: seconds in which what the machines before have left behind comes to its end
#: python3 of Debian, not ours: the server has nothing to do with us.
_TRIVIAL = "/usr/bin/tini -s -g -- /usr/bin/python3 -m http.server 5555"


def measure(runs: int) -> Iterator[Figure]:
    """Measure adding nodes."""
    if os.geteuid() != 0:
        raise BenchError("machines need root")
    if Places(_NAME).config.exists():
        raise BenchError(f"there is a nutshell {_NAME!r}: cps-nutshell --name {_NAME} destroy")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conpaas-bench-")))
        stack.callback(_nutshell, home, "destroy", "--yes", "--keep-images")
        _nutshell(home, "start")
        service = _Service()
        cloud = _BareCloud()
        stack.callback(cloud.down)
        bare, one = alternate(cloud.start_one, lambda: service.add(1), runs=runs)
        yield Figure(
            "add_nodes of 1 beside a bare instance",
            median_of(bare), median_of(one), "s", 1.0, more=True,
        )  # fmt: skip
        one, many = alternate(
            lambda: service.add(1), lambda: service.add(_MANY), runs=max(2, runs // 2)
        )
        yield Figure(
            f"add_nodes of {_MANY} beside 1 ({os.cpu_count()} cores)",
            median_of(one), median_of(many), "s", 1.3,
        )  # fmt: skip


class _Service:
    """A helloworld service on the nutshell, called as its user does."""

    def __init__(self) -> None:
        config = make.load_config(Places(_NAME).config)
        database = open_database(config.director.database_url, config.data)
        with database.connection_context():
            token = users.new_token(User.get(User.username == USERNAME).id, "bench")
        peers = Peers(TlsFiles(make.own_files(config).ca))

        def channel(path: str) -> HttpChannel:
            return HttpChannel(
                peers, config.director.url, f"/api/v1/{path}", Identity(Role.DIRECTOR),
                headers={"Authorization": f"Bearer {token}"},
            )  # fmt: skip

        applications = stub(Applications, channel("application"))  # type: ignore[type-abstract]
        services = stub(Services, channel("service"))  # type: ignore[type-abstract]
        aid = applications.create(name="bench").aid
        finish(applications.start(application=aid))
        sid = services.add(service_type="helloworld", application=aid).sid
        manager = Plugins.installed(["helloworld"]).service("helloworld").manager
        self._stub: Any = stub(manager, channel(f"applications/{aid}/services/{sid}"))
        finish(self._stub.start())

    def add(self, count: int) -> float:
        """Add nodes, and remove them again; return the seconds until they answered."""
        time.sleep(_REST)
        begin = time.perf_counter()
        finish(self._stub.add_nodes(nodes={"count": count}))
        greetings = self._stub.get_helloworld()
        wall = time.perf_counter() - begin
        if len(greetings) != 1 + count:
            raise BenchError(f"{len(greetings)} nodes answer, not {1 + count}")
        finish(self._stub.remove_nodes(nodes={"count": count}))
        return wall


class _BareCloud:
    """A local cloud beside the nutshell's, with the same image and another first program."""

    def __init__(self) -> None:
        home = Places(_NAME).home
        same = make.load_config(Places(_NAME).config).clouds["local"]
        self._cloud = LocalCloud(
            "bare",
            LocalCloud.Settings(
                directory=str(home / "bare"), images=same["images"], image=same["image"],
                bridge="cps-bare", prefix="bare-", init=_TRIVIAL,
            ),
            "bare",
        )  # fmt: skip
        self._cloud.up()

    def start_one(self) -> float:
        """Create an instance, and destroy it again; return the seconds until it answered."""
        begin = time.perf_counter()
        machine = self._cloud.create_machine("bare", "#cloud-config\n{}\n", {})
        try:
            address = str(machine.address)
            wait_until(lambda: _answers(address), "the bare instance does not answer")
            return time.perf_counter() - begin
        finally:
            self._cloud.destroy_machine(machine.id)

    def down(self) -> None:
        """Remove it."""
        self._cloud.down()


def _answers(address: str) -> bool:
    with suppress(OSError), socket.create_connection((address, 5555), 1) as connection:
        connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        return b"200" in connection.recv(100)
    return False


def _nutshell(home: Path, *command: str) -> None:
    # Another home, and other links: the user's own command line stays as it is.
    own = [str(Path(sys.executable).parent / "cps-nutshell"), "--name", _NAME, "--bin", str(home)]
    done = subprocess.run(
        [*own, *command],
        env={**os.environ, "HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"cps-nutshell {command[0]} failed: {done.stdout}{done.stderr}")
