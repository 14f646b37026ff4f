"""Real machines for benches: a nutshell of their own, and bare instances beside it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import BenchError, wait_until

from conpaas.api import Applications, Services
from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel
from conpaas.clouds.base import CloudMachine
from conpaas.clouds.local import LocalCloud
from conpaas.director import make, users
from conpaas.director.database import open_database
from conpaas.director.models import User
from conpaas.nutshell.nutshell import USERNAME, Places
from conpaas.plugins import Plugins
from conpaas.rpc import finish, stub
from conpaas.transport import Peers, TlsFiles

NAME = "bench"
#: python3 of Debian, not ours: the server has nothing to do with us.
TRIVIAL = "/usr/bin/tini -s -g -- /usr/bin/python3 -m http.server 5555"


@contextlib.contextmanager
def nutshell() -> Iterator[None]:
    """A nutshell, destroyed at the end; images are kept.

    Raises:
        BenchError: There is one already, or nobody may make one.
    """
    if os.geteuid() != 0:
        raise BenchError("machines need root")
    if Places(NAME).config.exists():
        raise BenchError(f"there is a nutshell {NAME!r}: cps-nutshell --name {NAME} destroy")
    with tempfile.TemporaryDirectory(prefix="conpaas-bench-") as home:
        try:
            _nutshell(Path(home), "start")
            yield
        finally:
            _nutshell(Path(home), "destroy", "--yes", "--keep-images")


class Application:
    """A running application on the nutshell, called as its user does."""

    def __init__(self) -> None:
        config = make.load_config(Places(NAME).config)
        database = open_database(config.director.database_url, config.data)
        with database.connection_context():
            token = users.new_token(User.get(User.username == USERNAME).id, "bench")
        self._peers = Peers(TlsFiles(make.own_files(config).ca))
        self._url, self._token = config.director.url, token
        self._plugins = Plugins.installed()
        applications = stub(Applications, self._channel("application"))  # type: ignore[type-abstract]
        self._services = stub(Services, self._channel("service"))  # type: ignore[type-abstract]
        self.aid = applications.create(name="bench").aid
        finish(applications.start(application=self.aid))

    def service(self, kind: str) -> Service:
        """Add a service and start it."""
        sid = self._services.add(service_type=kind, application=self.aid).sid
        where = self._channel(f"applications/{self.aid}/services/{sid}")
        manager: Any = stub(self._plugins.service(kind).manager_class, where)
        finish(manager.start())
        return Service(sid, manager)

    def remove(self, service: Service) -> None:
        """Remove a service with its machines."""
        finish(self._services.remove(application=self.aid, service=service.sid))

    def _channel(self, path: str) -> HttpChannel:
        return HttpChannel(
            self._peers, self._url, f"/api/v1/{path}", Identity(Role.DIRECTOR),
            headers={"Authorization": f"Bearer {self._token}"},
        )  # fmt: skip


@dataclass(frozen=True)
class Service:
    """A service that runs.

    Args:
        sid: Its number.
        manager: Its operations.
    """

    sid: int
    manager: Any


def init_of(address: str) -> int:
    """Return the first process of the nutshell's machine that has an address."""
    config = make.load_config(Places(NAME).config)
    section = {k: v for k, v in config.clouds["local"].items() if k != "driver"}
    return _init_of(LocalCloud("local", LocalCloud.Settings(**section), NAME), address)


class BareCloud:
    """A local cloud beside the nutshell's, with the same image and another first program."""

    def __init__(self) -> None:
        home = Places(NAME).home
        same = make.load_config(Places(NAME).config).clouds["local"]
        self._cloud = LocalCloud(
            "bare",
            LocalCloud.Settings(
                directory=str(home / "bare"), images=same["images"], image=same["image"],
                bridge="cps-bare", prefix="bare-", init=TRIVIAL,
            ),
            "bare",
        )  # fmt: skip
        self._cloud.up()

    def create(self, name: str) -> CloudMachine:
        """Create an instance, and return it when it answers."""
        machine = self._cloud.create_machine(name, "#cloud-config\n{}\n", {})
        address = str(machine.address)
        wait_until(lambda: _answers(address), "the bare instance does not answer")
        return machine

    def init_of(self, machine: CloudMachine) -> int:
        """Return the first process of an instance."""
        return _init_of(self._cloud, str(machine.address))

    def command(self, machine: CloudMachine, *words: str) -> list[str]:
        """Return the command that runs another one in an instance, within its limits."""
        machines = self._cloud.driver.store.machines_directory
        return ["lxc-attach", "-P", str(machines), "-n", machine.id, "--", *words]

    def attach_volume(self, machine: CloudMachine, name: str, size: int) -> str:
        """Give an instance a new volume of so many MB; return where it is mounted there."""
        volume = self._cloud.create_volume(name, size, {})
        return self._cloud.attach_volume(volume.id, machine.id)

    def destroy(self, machine: CloudMachine) -> None:
        """Destroy an instance, with its volumes."""
        volumes = [one for one in self._cloud.list_volumes() if one.machine == machine.id]
        self._cloud.destroy_machine(machine.id)
        for volume in volumes:
            self._cloud.destroy_volume(volume.id)

    def down(self) -> None:
        """Remove it."""
        self._cloud.down()


def _init_of(cloud: LocalCloud, address: str) -> int:
    (machine,) = (m for m in cloud.list_machines() if m.address == address)
    init = cloud.driver.instances.init(machine.id)
    if init is None:
        raise BenchError(f"the machine {address} does not run")
    return init.pid


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 5555), 1) as connection:
        connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        return b"200" in connection.recv(100)
    return False


def _nutshell(home: Path, *command: str) -> None:
    # Another home, and other links: the user's own command line stays as it is.
    own = [str(Path(sys.executable).parent / "cps-nutshell"), "--name", NAME, "--bin", str(home)]
    done = subprocess.run(
        [*own, *command],
        env={**os.environ, "HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"cps-nutshell {command[0]} failed: {done.stdout}{done.stderr}")
