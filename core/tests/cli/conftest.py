"""A director that answers what a test wants, over real TLS, and a plugin with every parameter."""

import datetime as dt
import hashlib
import http.server
import importlib.util
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import conpaas
from conpaas.cli.build import build
from conpaas.cli.index import Index
from conpaas.cli.main import main
from conpaas.plugins import Plugins

SOURCES = Path(conpaas.__file__).parents[1]
PLUGIN = '''\
"""A service type that has every kind of parameter."""

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.manager.base import ServiceManager
from conpaas.rpc import Download, Job, Upload, expose
from conpaas.schema import DETAIL, Option
from conpaas.service import Role, Service


class Flour(enum.StrEnum):
    WHEAT = "wheat"
    RYE = "rye"


@dataclass(frozen=True)
class Cake:
    number: int
    name: str
    note: str | None
    recipe: Annotated[str, DETAIL] = ""


class Manager(ServiceManager[ServiceAgent]):
    @expose()
    def bake(
        self,
        name: Annotated[str, "What to bake"],
        weight: float,
        flour: Flour,
        warm: bool,
        pieces: Annotated[int, "How many"] = 12,
        size: Annotated[Literal["small", "large"], "How big", Option("-s")] = "small",
        with_cream: bool = False,
        glaze: bool = True,
        toppings: tuple[str, ...] = (),
        oven_settings: dict[str, Any] | None = None,
        fresh: bool | None = None,
    ) -> Cake:
        """Bake a cake.

        It takes as long as it takes.

        Args:
            name: Not shown.
        """

    @expose(reads=True)
    def list_cakes(self) -> list[Cake]:
        """List the cakes."""

    @expose(reads=True)
    def list_keys(self) -> list[str]:
        """List the keys."""

    @expose(reads=True)
    def get_recipe(self, format: Annotated[str, "Which", Option("-f")] = "short") -> str:
        """Show the recipe."""

    @expose(done="Cake '{result}' uploaded to {service} as {description}.")
    def upload_cake(self, cake: Annotated[Upload, "It"], description: str = "none") -> str:
        """Upload a cake."""

    @expose(reads=True)
    def download_cake(
        self, version: Annotated[str | None, "Which", Option("-v")] = None
    ) -> Download:
        """Download a cake."""

    @expose(reads=True, prints=True)
    def print_cake(self) -> Download:
        """Print a cake."""

    @expose(done="Password of '{user}' updated.")
    def set_password(
        self,
        password: Annotated[str, Option("-p", secret=True, positional=False)],
        user: str = "baker",
    ) -> None:
        """Set the password."""

    @expose(done="Label '{name}' written.")
    def write_label(
        self,
        name: str,
        text: Annotated[str | None, Option(secret=True, positional=True, asked="secret")] = None,
        secret: bool = False,
    ) -> None:
        """Write a label."""

    @expose(confirm="The cake is lost.", done="Cake {name} eaten.")
    def eat(self, name: str) -> None:
        """Eat a cake."""

    @expose()
    def rest(self, minutes: Annotated[int, Option(positional=True)] = 5) -> Job[None]:
        """Let the dough rest."""

    @expose(hidden=True)
    def secret_of_the_house(self) -> str:
        """Be silent."""

    def on_start(self, nodes: list[Any]) -> None:
        pass


@hookimpl
def conpaas_service() -> Service:
    return Service(
        name="bakery",
        title="Bakery",
        manager=Manager,
        agent=ServiceAgent,
        roles=(Role("oven", "Bakes"), Role("counter", "Sells"), Role("cellar", "", fixed=True)),
    )


@hookimpl
def conpaas_commands(commands: Any) -> None:
    commands.add("bakery taste", "conpaas_bakery.written:Taste")
'''
WRITTEN = '''\
"""A hand-written command."""

from cliff.command import Command


class Taste(Command):
    """Taste a cake."""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("cake")
        parser.add_argument("--twice", action="store_true", help="Once more")
        return parser

    def take_action(self, parsed_args):
        answer = self.app.director.call("/application/list", {})
        again = " Again." if parsed_args.twice else ""
        print(f"{parsed_args.cake} for {len(answer.result)}.{again}")
        return 3 if parsed_args.cake == "mouldy" else 0
'''


class Certificates:
    """An authority, and certificates of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.key.public_key(), "authority", [], is_authority=True)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(self, uri: str) -> Path:
        """Return a file with a certificate of that name and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), uri, [x509.UniformResourceIdentifier(uri)])
        path = self.directory / f"{hashlib.sha256(uri.encode()).hexdigest()[:8]}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    def sign(self, csr: str) -> str:
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        uri = x509.UniformResourceIdentifier("conpaas://test/user/owner/1")
        signed = self._sign(request.public_key(), "user", [uri])
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, public_key, name, names, is_authority=False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if names:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([*names, loopback]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())


class Request:
    """What a client sent."""

    def __init__(self, method: str, path: str, headers, body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class FakeDirector:
    """Answers what it was told to, and remembers what it was asked.

    ``answers`` maps a path (below ``/api/v1``, without the query) to what ``result`` is, or to a
    function of the request that returns a status and a body.
    """

    def __init__(self, certificates: Certificates, uri: str = "conpaas://test/director") -> None:
        self.certificates = certificates
        self.answers = {}
        self.requests: list[Request] = []
        self.peers: list[dict | None] = []
        #: Paths that answer before they have read what is sent.
        self.impatient: set[str] = set()
        director = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_POST(self) -> None:
                director._serve(self)

            do_GET = do_POST  # noqa: N815 - as http.server calls it

            def log_message(self, *arguments) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.issue(uri))
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda request, address: None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def job(self, path: str, *reports: dict) -> None:
        """Answer a call with a job that makes these reports, the last one for ever."""
        left = list(reports)
        defaults = {"id": 7, "target": "x", "operation": "x", "percent": 0, "message": ""}
        defaults |= {"result": None, "error": None}

        def report(request):
            return 200, {"result": defaults | (left.pop(0) if len(left) > 1 else left[0])}

        self.answers[path] = lambda request: (202, {"job": 7, "watch": "/api/v1/jobs/7"})
        self.answers["/jobs/7"] = report

    def refuse(self, path: str, status: int, code: str, message: str) -> None:
        error = {"error": {"code": code, "message": message, "detail": None}}
        self.answers[path] = lambda request: (status, error)

    def _serve(self, handler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        path = handler.path.removeprefix("/api/v1").partition("?")[0]
        if path in self.impatient:
            handler.close_connection = True
            body = b""
        elif size > 1 << 20:
            digest = hashlib.sha256()
            while size:
                piece = handler.rfile.read(min(size, 1 << 20))
                digest.update(piece)
                size -= len(piece)
            body = digest.hexdigest().encode()
        else:
            body = handler.rfile.read(size)
        request = Request(handler.command, handler.path, handler.headers, body)
        self.requests.append(request)
        self.peers.append(handler.connection.getpeercert())
        answer = self.answers.get(path, lambda request: (404, _unknown(path)))
        status, said = answer(request) if callable(answer) else (200, {"result": answer})
        headers = {"Content-Type": "application/json"}
        if isinstance(said, tuple):
            said, extra = said
            headers |= extra
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)


def _unknown(path: str) -> dict:
    return {"error": {"code": "not-found", "message": f"nothing at {path}", "detail": None}}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def director(certificates) -> Iterator[FakeDirector]:
    fake = FakeDirector(certificates)
    yield fake
    fake.close()


@pytest.fixture
def other_director(certificates) -> Iterator[Callable[[str], FakeDirector]]:
    """Make a director whose certificate says something else."""
    made = []

    def make(uri: str) -> FakeDirector:
        made.append(FakeDirector(certificates, uri))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A user's empty home, in an environment that says nothing."""
    home = tmp_path / "home"
    (home / ".conpaas").mkdir(parents=True, mode=0o700)
    for name in [name for name in os.environ if name.startswith(("CONPAAS_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("conpaas.cli.config.SYSTEM_FILE", str(tmp_path / "cps-tools.conf"))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def configured(home, director) -> Path:
    """A home whose owner may call the director."""
    configure(home, director)
    return home


def configure(home: Path, director: FakeDirector, *lines: str) -> None:
    settings = [f"director_url = {director.address}", "token = t0ken", *lines]
    (home / ".conpaas/cps-tools.conf").write_text("\n".join(["[cps-tools]", *settings]) + "\n")
    (home / ".conpaas/ca_cert.pem").write_bytes(director.certificates.ca.read_bytes())


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """A directory of packages with the plugin installed in it."""
    return install(tmp_path_factory.mktemp("site"), "bakery", PLUGIN, written=WRITTEN)


def install(site: Path, name: str, plugin: str, **modules: str) -> Path:
    package = site / f"conpaas_{name}"
    package.mkdir()
    for module, source in {"__init__": "", "plugin": plugin, **modules}.items():
        (package / f"{module}.py").write_text(source)
    information = site / f"conpaas_{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Name: conpaas-{name}\nVersion: 1.0\n")
    entry_point = f"[conpaas.plugins]\n{name} = conpaas_{name}.plugin\n"
    (information / "entry_points.txt").write_text(entry_point)
    return site


@pytest.fixture(scope="session")
def index(site) -> Iterator[Index]:
    """The commands with the plugin, without what else is installed here."""
    sys.path.append(str(site))
    spec = importlib.util.find_spec("conpaas_bakery.plugin")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    plugins = Plugins(bakery=module)
    assert plugins.broken == []
    yield Index(*build(plugins))
    sys.path.remove(str(site))


@pytest.fixture
def cps(index) -> Callable[..., int]:
    """Run a command line in this process and return its exit code."""

    def run(*words: str) -> int:
        return main(list(words), index)

    return run


@pytest.fixture
def installed(home, site) -> Callable[..., subprocess.CompletedProcess]:
    """Run a script in a process of its own, with the plugin installed."""

    def run(script: str, *words: str, path: Path = site, **options) -> subprocess.CompletedProcess:
        code = "import sys; from conpaas.cli.main import main; sys.exit(main())"
        begin = f"import sys; sys.argv[0] = {script!r}; {code}"
        environment = {**os.environ, "PYTHONPATH": f"{SOURCES}:{path}"}
        return subprocess.run(
            [sys.executable, "-P", "-c", begin, *words],
            env=environment | options.pop("env", {}),
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )

    return run


@pytest.fixture
def tools() -> dict[str, Callable]:
    """What a test does with directories of its own: configure a home, install a plugin."""
    return {"configure": configure, "install": install}
