"""A home, a director that is not one, and a command line with a plugin."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bakery import PLUGIN, WRITTEN
from fake_director import Certificates, FakeDirector

import conpaas
from conpaas.cli.build import build
from conpaas.cli.index import Index
from conpaas.cli.main import main
from conpaas.plugins import Plugins

SOURCES = Path(conpaas.__file__).parents[1]


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


@pytest.fixture(scope="session")
def index_cache(tmp_path_factory) -> Path:
    """Where processes keep the index from test to test: making it takes longer than most tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path, monkeypatch, index_cache) -> Path:
    """A user's empty home, in an environment that says nothing but where the index is kept."""
    home = tmp_path / "home"
    (home / ".conpaas").mkdir(parents=True, mode=0o700)
    for name in [name for name in os.environ if name.startswith(("CONPAAS_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(index_cache))
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
