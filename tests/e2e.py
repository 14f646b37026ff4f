"""What the tests of the whole share: a nutshell of their own, and the command line of its user."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from conpaas.clouds.base import CloudMachine
from conpaas.clouds.local import LocalCloud
from conpaas.director import make, serve

T = TypeVar("T")
PROGRAMS = Path(sys.executable).parent


def wait_for(what: str, look: Callable[[], T], seconds: float = 30.0) -> T:
    """Look until something is there; fail the test when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s there is still not: {what}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    line: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {self.line}\n{self.out}{self.err}(exit code {self.code})"


class CommandLine:
    """Types commands as a person does, whose files are in a home of their own.

    Args:
        home: Of the person.
        path: Where the programs are.
    """

    def __init__(self, home: Path, path: Path = PROGRAMS) -> None:
        self.home = home
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONPAAS_")}
        self._environment = {
            **kept,
            "HOME": str(home),
            "PATH": f"{path}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }

    def __call__(self, line: str | Sequence[str], given: str = "", seconds: float = 120.0) -> Ran:
        """Run a command line; a list of words is taken as they are."""
        process = self.begin(line)
        try:
            out, err = process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {seconds:.0f} s: {line}\n{out}{err}") from None
        return Ran(_shown(line), process.returncode, out, err)

    def begin(self, line: str | Sequence[str]) -> subprocess.Popen[str]:
        """Run a command line beside the test."""
        return subprocess.Popen(
            shlex.split(line) if isinstance(line, str) else line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def ok(self, line: str | Sequence[str], given: str = "", seconds: float = 120.0) -> str:
        """Run a command line that must succeed, and return what it printed."""
        ran = self(line, given, seconds)
        assert ran.code == 0, str(ran)
        return ran.out

    def refused(self, line: str | Sequence[str], because: str = "", seconds: float = 120.0) -> str:
        """Run a command line that must be refused, and return the reason."""
        ran = self(line, seconds=seconds)
        assert ran.code != 0, str(ran)
        assert because in ran.err, str(ran)
        assert "Traceback" not in ran.err, str(ran)
        return ran.err

    def rows(self, line: str) -> Any:
        """Run a command line that must succeed, and return its result."""
        return json.loads(self.ok(f"{line} -f json"))


@dataclass(frozen=True)
class Answer:
    """What a server answered: its status and its JSON."""

    status: int
    body: Any

    @property
    def told(self) -> str:
        """The sentence of an error."""
        return str(self.body["error"]["message"])


def call(
    address: str,
    method: str,
    path: str,
    *,
    ca: Path,
    certificate: tuple[Path, Path] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    seconds: float = 60.0,
) -> Answer:
    """Call a server over TLS as any program can, with or without a client certificate.

    Args:
        address: Host and port.
        method, path: Of HTTP.
        ca: What the server's certificate must be from.
        certificate: Files of the client's certificate and key.
        headers: To send.
        body: Bytes or a file as they are, anything else as JSON.
        seconds: To wait at most.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    given = dict(headers or {})
    if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
        body = json.dumps(body).encode()
    if isinstance(body, bytes):
        given.setdefault("Content-Type", "application/json")
    connection = http.client.HTTPSConnection(address, context=context, timeout=seconds)
    with contextlib.closing(connection):
        # A server that refuses a body may not read it to its end: its reason is there all the
        # same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            connection.request(method, path, body, given)
        with connection.getresponse() as response:
            content = response.read()
            kind = response.headers.get_content_type()
            return Answer(
                response.status, json.loads(content) if kind == "application/json" else content
            )


class Nutshell:
    """A nutshell of the tests, seen from outside and from inside.

    Args:
        name: Of the nutshell: home, bridge and machines are named after it.
        directory: Gets the user's home and the links to the programs.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.home = Path("/var/lib/conpaas") / name
        self.config = self.home / "director.toml"
        self.user = directory / "home"
        self.user.mkdir(exist_ok=True)
        self.links = directory / "bin"
        self.cps = CommandLine(self.user, self.links)
        self._host = CommandLine(self.user)
        #: Of the user, once it was started for the first time.
        self.password = ""

    # -- its life -----------------------------------------------------------------------------

    def run(self, command: str) -> Ran:
        """Run ``cps-nutshell`` on it."""
        return self._host(
            f"cps-nutshell --name {self.name} --bin {self.links} {command}", seconds=600
        )

    def ok(self, command: str) -> str:
        """Run ``cps-nutshell`` on it; it must succeed."""
        ran = self.run(command)
        assert ran.code == 0, f"{ran}\n{self.logs()}"
        return ran.out

    def start(self) -> None:
        """Start it; the first time it says what the user's password is."""
        if found := re.search(r"^User 'test', password '(.*)'", self.ok("start"), re.MULTILINE):
            self.password = found[1]

    def destroy(self) -> None:
        """Destroy it and leave the images, which all nutshells share."""
        self.ok("destroy --yes --keep-images")

    def logs(self) -> str:
        """Return the ends of the director's logs."""
        found = sorted((self.home / "director" / "log").glob("*/current"))
        return "\n".join(f"== {f.parent.name}\n{f.read_text()[-3000:]}" for f in found)

    def admin(self, command: str, given: str = "") -> str:
        """Run ``cps-director`` on it; it must succeed."""
        return self._host.ok(f"cps-director --config {self.config} {command}", given)

    # -- the director -------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Host and port of the director."""
        return make.load_config(self.config).director.listen[0]

    @property
    def ca(self) -> Path:
        """The authority's certificate, as the user has it."""
        return self.user / ".conpaas" / "nutshell-ca.pem"

    @property
    def token(self) -> str:
        """The token of the user."""
        text = (self.user / ".conpaas" / "cps-tools.conf").read_text()
        return next(line.split(" = ")[1] for line in text.splitlines() if line[:5] == "token")

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Call the director's API as the user, unless ``headers`` say otherwise."""
        headers = more.pop("headers", {"Authorization": f"Bearer {self.token}"})
        path = f"/api/v1{path}"
        return call(self.address, method, path, ca=self.ca, headers=headers, body=body, **more)

    def process(self, name: str) -> int:
        """Return the number of a process of the director: front, director or worker."""
        keeper = serve.supervisor(make.load_config(self.config))
        return wait_for(f"the director's process {name}", lambda: keeper.pid(name)) or 0

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the director, its supervisors too."""
        found = []
        service = str(self.home / "director")
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if any(service in word or str(self.config) in word for word in words) or (
                process.info["cwd"] or ""
            ).startswith(service):
                found.append(process)
        return found

    # -- the machines -------------------------------------------------------------------------

    @property
    def cloud(self) -> LocalCloud:
        """The cloud, asked behind the director's back."""
        config = make.load_config(self.config)
        section = {k: v for k, v in config.clouds["local"].items() if k != "driver"}
        return LocalCloud("local", LocalCloud.Settings(**section), self.name)

    def machines(self) -> dict[str, CloudMachine]:
        """Return what the cloud has, by name."""
        return {machine.name: machine for machine in self.cloud.list_machines()}

    def machine(self, application: int | str, agent: str | None = None) -> CloudMachine:
        """Return the machine of an agent, or that of an application's manager."""
        number = int(agent.removeprefix("node-")) if agent else None
        (row,) = (
            row
            for row in self.cps.rows(f"cps-machine list -a {application}")
            if (row["id"] == number if agent else row["sid"] == 0)
        )
        return self.machines()[row["name"]]

    def root(self, machine: CloudMachine) -> Path:
        """Return where the files are that a machine has written."""
        return self.home / "local" / "machines" / machine.id / "delta0"

    def identity(self, machine: CloudMachine) -> tuple[Path, Path]:
        """Return the files of a machine's certificate and key."""
        directory = self.root(machine) / "etc/conpaas"
        # They are links that are absolute or relative inside the machine: resolved in its root.
        return (
            _inside(self.root(machine), directory / "cert.pem"),
            _inside(self.root(machine), directory / "key.pem"),
        )

    def server(self, machine: CloudMachine) -> psutil.Process:
        """Return the process of a machine's manager or agent."""

        def look() -> psutil.Process | None:
            init = self.cloud.driver.instances.init(machine.id)
            if init is None:
                return None
            for process in psutil.Process(init.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if {"conpaas.manager", "conpaas.agent"} & set(process.cmdline()):
                        return process
            return None

        return wait_for(f"the server on {machine.name}", look)

    def kill_server(self, machine: CloudMachine) -> None:
        """Kill a machine's manager or agent."""
        self.server(machine).kill()

    def no_leaks(self) -> None:
        """Assert that the cloud has exactly the machines that the director knows."""

        def same() -> bool:
            known = {row["name"] for row in self.cps.rows("cps-machine list")}
            return known == set(self.machines())

        wait_for("the same machines in the cloud and in machine list", same, 30)


def kill(pid: int) -> None:
    """Kill one process for good."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def application(nutshell: Nutshell, name: str) -> Iterator[int]:
    """A running application, deleted at the end."""
    cps = nutshell.cps
    aid = cps.rows(f'cps-application create "{name}"')["aid"]
    try:
        cps.ok(f"cps-application start {aid}")
        yield aid
    finally:
        cps.ok(f"cps-application delete {aid}")


def _shown(line: str | Sequence[str]) -> str:
    return line if isinstance(line, str) else shlex.join(line)


def _inside(root: Path, path: Path) -> Path:
    for _ in range(10):
        # Any part of the path may be a link.
        for part in [*list(path.parents)[::-1], path]:
            if part.is_symlink() and part.is_relative_to(root):
                target = Path(os.readlink(part))
                base = root / target.relative_to("/") if target.is_absolute() else None
                path = (base or part.parent / target) / path.relative_to(part)
                break
        else:
            return path
    raise AssertionError(f"{path} leads nowhere")
