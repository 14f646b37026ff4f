"""Servers of ours, and bare ones to compare them with, on loopback."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from calls import ask_fresh, client_context, get
from harness import DEPLOYMENT, Workbench, free_port, wait_until

from conpaas.certificates import Identity, Role
from conpaas.config import render
from conpaas.director import make
from conpaas.director.database import open_database
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine, Service
from conpaas.director.registration import Profile, add_user
from conpaas.director.tokens import SESSION, issue
from conpaas.director.users import new_token
from conpaas.front import ClientCertificates, Front
from conpaas.machine.places import IdentityFiles, Places
from conpaas.plugins import Plugins
from conpaas.state import State

HOST = "127.0.0.1"
OWNER = 1
APPLICATION = 1
MANAGER = 1
AGENT = 2


@dataclass(frozen=True)
class Served:
    """A server with nginx in front of it."""

    port: int
    processes: tuple[int, ...]

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return HOST, self.port


def front(
    bench: Workbench,
    name: str,
    socket: Path,
    files: IdentityFiles,
    client_certificates: ClientCertificates,
    *,
    port: int = 0,
    locations: str = "",
) -> tuple[Front, int]:
    """Configure an nginx; return it and its port."""
    port = port or free_port()
    made = Front(bench.directory / name)
    made.configure(
        listen=[(HOST, port)],
        upstream=socket,
        certificate=files.certificate,
        key=files.key,
        ca=files.ca,
        client_certificates=client_certificates,
        user="root" if os.geteuid() == 0 else None,
        locations=locations,
    )
    return made, port


class Director:
    """A director with one user, some applications and a cloud in memory.

    Its first application has a manager's machine, for a manager that is started by hand.

    Args:
        bench: Where it runs.
        applications: How many there are.
        services: How many each of them has.
    """

    def __init__(self, bench: Workbench, applications: int = 10, services: int = 0) -> None:
        home = bench.directory / "director"
        home.mkdir()
        port = free_port()
        self.url = f"https://{HOST}:{port}"
        text = render(
            {
                "director": {
                    "name": DEPLOYMENT,
                    "url": self.url,
                    "listen": [f"{HOST}:{port}"],
                    "data_dir": str(home),
                    "run_dir": str(home),
                    "default_cloud": "memory",
                },
                "clouds.memory": {"driver": "memory"},
            }
        )
        path = bench.directory / "director.toml"
        path.write_text(text)
        config = self.config = make.load_config(path)
        # One authority for everything in the bench.
        (home / "authority").symlink_to(bench.directory / "authority")
        make.initialise(config)
        self.files = make.own_files(config)
        with open_database(config.director.database_url, config.data).connection_context():
            user = add_user(config, Plugins.installed(), Profile("test"), "correct horse")
            self.token = new_token(user.id, "bench")
            self.session = issue(user.id, "frontend", kind=SESSION)
            for number in range(applications):
                one = Application.create(
                    user=user, name=f"app {number}", state=State.RUNNING.value,
                    services_made=services,
                )  # fmt: skip
                for other in range(services):
                    Service.create(
                        application=one, number=other + 1, type="helloworld",
                        name=f"service {other + 1}", state=State.RUNNING.value,
                    )  # fmt: skip
            Machine.create(
                application=APPLICATION, service=0, role="manager", name="m", cloud="memory",
                address=HOST, state=Life.RUNNING.value, request="bench",
            )  # fmt: skip
        sock = home / "director.sock"
        made, _ = front(bench, "front", sock, self.files, ClientCertificates.OPTIONAL, port=port)
        web = [sys.executable, "-m", "conpaas.director.main", "--config", str(path), "web"]
        self.served = start_server(bench, web, made, port)
        wait_for(self.served, self.files, "/api/v1/version", "the director does not answer")


class Frontend:
    """The pages of a director, with an nginx of their own."""

    def __init__(self, bench: Workbench, director: Director) -> None:
        files = make.frontend_files(director.config)
        sock = director.config.run / "frontend.sock"
        made, port = front(bench, "pages", sock, director.files, ClientCertificates.NONE)
        settings = files.directory / "frontend.toml"
        web = [sys.executable, "-m", "conpaas.frontend.main", "--config", str(settings), "web"]
        self.served = start_server(bench, web, made, port)
        wait_for(self.served, director.files, "/login", "the frontend does not answer")


class ManagerHome:
    """The directory of a manager of the director's first application."""

    def __init__(self, bench: Workbench, director_url: str) -> None:
        self.places = _home(bench, "manager", Identity(Role.MANAGER, OWNER, APPLICATION, MANAGER))
        section = {**_common(director_url), "machine": MANAGER, "address": HOST}
        text = render({"manager": section})
        (self.places.configuration / "manager.toml").write_text(text)


class AgentHome:
    """The directory of an agent of helloworld."""

    def __init__(self, bench: Workbench, director_url: str) -> None:
        self.places = _home(bench, "agent", Identity(Role.AGENT, OWNER, APPLICATION, AGENT))
        section = {
            **_common(director_url),
            "machine": AGENT,
            "address": HOST,
            "service": 1,
            "service_type": "helloworld",
            "node": "node-2",
            "role": "node",
        }
        (self.places.configuration / "agent.toml").write_text(render({"agent": section}))


def machine_command(role: Role, places: Places) -> list[str]:
    """Return the command that is the server of a machine, but for where its files are."""
    root = json.dumps(str(places.root))
    start = (
        f"from pathlib import Path; from conpaas.{role}.__main__ import main; main(Path({root}))"
    )
    return [sys.executable, "-c", start]


def wait_for(served: Served, files: IdentityFiles, path: str, complaint: str) -> None:
    """Wait until a server answers 200."""
    context, request = client_context(files), get(path)
    wait_until(lambda: ask_fresh(served.address, context, request), complaint)


def start_server(bench: Workbench, command: list[str], made: Front, port: int) -> Served:
    """Start a server and its nginx."""
    return Served(port, (bench.start(command).pid, bench.start(made.command()).pid))


def _home(bench: Workbench, name: str, identity: Identity) -> Places:
    places = Places(bench.directory / name)
    for directory in (places.configuration, places.state, places.sockets):
        directory.mkdir(parents=True)
    bench.member(identity, places.configuration)
    return places


def _common(director_url: str) -> dict[str, object]:
    return {
        "deployment": DEPLOYMENT,
        "director_url": director_url,
        "owner": OWNER,
        "application": APPLICATION,
    }
