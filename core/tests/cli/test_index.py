"""The index answers without importing what describes commands, and is never out of date."""

import os
import shutil
import subprocess
import sys
import time

import pytest

#: What a derived command has no use for.
SLOW = (
    *("cliff", "stevedore", "msgspec", "requests", "urllib3", "rich", "pluggy", "argparse"),
    *("importlib.metadata", "inspect", "dataclasses", "typing", "logging", "cryptography"),
    *("conpaas.rpc", "conpaas.api", "conpaas.plugins", "conpaas.cli.build"),
)
PRINT_MODULES = f"""
import sys, types
# What the package itself imports is judged by a test of its own.
sys.modules["pluggy"] = types.SimpleNamespace(HookimplMarker=str)
import conpaas
del sys.modules["pluggy"]
before = set(sys.modules)
from conpaas.cli.main import main
sys.argv[0] = "cps-tools"
code = main()
print("loaded:", *[name for name in {SLOW!r} if name in set(sys.modules) - before])
sys.exit(code)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the index is kept from test to test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def imported(configured, director, site, cache):
    """Return which slow modules a command line imports, once the index is there."""
    director.answers["/application/list"] = [{"aid": 1, "name": "x"}]
    director.job("/application/start", {"state": "done", "result": {"name": "x", "aid": 1}})
    path = f"{os.path.dirname(os.path.dirname(os.path.dirname(__file__)))}/src:{site}"
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(cache)}

    def ran(code, *words):
        command = [sys.executable, "-P", "-c", code, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    while not list(cache.rglob("commands-*")):
        time.sleep(0.06)
        ran("from conpaas.cli.index import load; load()")
    return lambda *words: ran(PRINT_MODULES, *words).rpartition("loaded:")[2].split()


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["bakery", "bake", "--help"],
        ["application", "list"],
        ["application", "list", "-f", "json"],
        ["application", "start", "1"],
        ["complete"],
    ],
    ids=" ".join,
)
def test_a_derived_command_imports_neither_plugins_nor_their_libraries(imported, words):
    assert imported(*words) == []


def test_the_package_itself_imports_nothing_slow():
    check = f"import sys, conpaas; print(*[name for name in {SLOW!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    # It is imported before main() is: `hookimpl` must not cost pluggy until it is used.
    assert ran.stdout.split() == []


def test_the_guard_sees_what_is_imported(imported):
    assert "cliff" in imported("application", "list", "-f", "csv")


@pytest.fixture
def place(installed, tools, tmp_path, monkeypatch):
    """A directory of packages of its own, and how to ask for the help with it.

    The index is kept in the home, as in real life.
    """
    monkeypatch.delenv("XDG_CACHE_HOME")
    site = tmp_path / "site"
    site.mkdir()

    def ask(*words, script="cps-tools", **options):
        time.sleep(0.06)  # what has just been written is not kept
        return installed(script, *words, path=site, **options)

    ask.site = site
    ask.install = tools["install"]
    return ask


GARDEN = '''
from typing import Annotated
from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.manager.base import ServiceManager
from conpaas.rpc import expose
from conpaas.service import Role, Service

class Manager(ServiceManager[ServiceAgent]):
    @expose()
    def water(self) -> None:
        """Water the garden."""

    def on_start(self, nodes):
        pass

@hookimpl
def conpaas_service():
    return Service(
        name="garden",
        title="Garden",
        manager=Manager,
        agent=ServiceAgent,
        roles=(Role("bed", ""),),
    )
'''


def kept(home):
    return list((home / ".cache/conpaas").glob("*"))


def test_a_plugin_that_is_installed_or_removed_is_seen_at_once(place, home):
    assert place("garden").returncode == 2
    place.install(place.site, "garden", GARDEN)
    assert "Water the garden." in place("garden").stdout
    assert "Water the garden." in place("garden").stdout
    shutil.rmtree(place.site / "conpaas_garden-1.0.dist-info")
    assert place("garden").returncode == 2


def test_a_plugin_s_source_that_changes_is_seen_at_once(place, home):
    place.install(place.site, "garden", GARDEN)
    for _ in range(2):
        assert "Water the garden." in place("garden").stdout
    (path,) = kept(home)
    assert path.stat().st_mode & 0o777 == 0o600
    source = place.site / "conpaas_garden/plugin.py"
    source.write_text(source.read_text().replace("Water the garden", "Let it grow"))
    assert "Let it grow." in place("garden").stdout


def test_a_module_that_a_plugin_imports_is_watched_too(place, home):
    place.install(place.site, "garden", "from conpaas_garden.more import *\n", more=GARDEN)
    for _ in range(2):
        assert "Water the garden." in place("garden").stdout
    source = place.site / "conpaas_garden/more.py"
    source.write_text(source.read_text().replace("def water", "def water_well"))
    assert "water_well" in place("garden").stdout


def test_an_index_is_kept_for_each_place(place, home, installed):
    place.install(place.site, "garden", GARDEN)
    for _ in range(2):
        assert place("garden").returncode == 0
        assert installed("cps-bakery").returncode == 0
    assert len(kept(home)) == 2
    assert installed("cps-garden").returncode == 2


def test_an_index_that_is_damaged_is_made_anew(place, home):
    for _ in range(2):
        assert place("application").returncode == 0
    (path,) = kept(home)
    whole = path.read_bytes()
    for content in (b"", b"rubbish", b"\xa9\x05" * 10):
        path.write_bytes(content)
        assert place("application").returncode == 0
        assert len(path.read_bytes()) == len(whole)


def test_an_index_of_somebody_else_is_not_believed(place, home):
    for _ in range(2):
        assert place("application").returncode == 0
    (path,) = kept(home)
    before = path.stat().st_ino
    os.chown(path, 12345, 12345)
    assert place("application").returncode == 0
    assert path.stat().st_ino != before
    assert path.stat().st_uid == os.getuid()


def test_a_cache_that_cannot_be_written_is_done_without(place, home):
    (home / ".cache").write_text("a file")
    assert place("application").returncode == 0


BROKEN = "import nothing_of_this_name\n"


def test_a_broken_plugin_is_told_about_when_it_is_asked_for_and_stops_nothing(place):
    place.install(place.site, "garden", BROKEN)
    place.install(place.site, "orchard", GARDEN.replace("garden", "orchard"))
    for _ in range(2):
        ran = place("garden", "water")
        assert ran.returncode == 2
        assert ran.stderr.splitlines() == [
            "ERROR: the plugin 'garden' is broken here: it does not import: "
            "No module named 'nothing_of_this_name'"
        ]
        assert place("orchard").stderr == ""
        assert place("--help").stderr == ""


def test_a_plugin_that_is_mended_is_seen_at_once(place):
    place.install(place.site, "garden", "import garden_tools\n" + GARDEN)
    for _ in range(2):
        assert place("garden").returncode == 2
    (place.site / "conpaas_garden/plugin.py").write_text(GARDEN)
    assert "Water the garden." in place("garden").stdout


def test_a_library_that_is_mended_mends_its_plugin(place):
    library = place.site / "garden_tools/__init__.py"
    library.parent.mkdir()
    library.write_text("import nothing_of_this_name\n")
    place.install(place.site, "garden", "import garden_tools\n" + GARDEN)
    for _ in range(2):
        assert place("garden").returncode == 2
    library.write_text("")
    assert "Water the garden." in place("garden").stdout


def test_commands_that_a_plugin_gets_wrong_are_left_out_with_a_warning(place):
    wrong = '\n@hookimpl\ndef conpaas_commands(commands):\n    commands.add("garden", object)\n'
    place.install(place.site, "garden", GARDEN + wrong)
    for _ in range(2):
        ran = place("garden")
        assert "Water the garden." in ran.stdout
        assert ran.stderr == (
            "WARNING: plugin garden: its commands are left out: the command 'garden' must be "
            "called '<object> <operation>'\n"
        )


def test_a_hand_written_command_is_found_by_its_place(installed, configured, director):
    director.answers["/application/list"] = []
    for _ in range(2):
        ran = installed("cps-bakery", "taste", "pie")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "pie for 0.\n", "")


def test_the_version_is_told_by_every_script(installed):
    told = [installed(script, "--version").stdout for script in ("cps-tools", "cps-bakery")]
    assert told[0].split()[0] == "cps-tools"
    assert told[1].split()[1] == told[0].split()[1]
    assert installed("cps-tools", "-V").stdout == told[0]
    assert installed("cps-tools", "application", "list", "--version").stdout == told[0]
