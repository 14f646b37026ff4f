"""The documents tell the truth: their steps are carried out, their lists are compared."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
import venv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import generate
import pytest
from documents import DOCS, ROOT, Block, Normal, blocks, typed
from e2e import Nutshell, wait_for

from conpaas import config, hookspecs
from conpaas.cli.build import build
from conpaas.cli.failure import Missing
from conpaas.cli.index import Index
from conpaas.cli.parser import parse, take_globals
from conpaas.director.config import DirectorConfig
from conpaas.director.main import _parser as director_parser
from conpaas.frontend.main import _parser as frontend_parser
from conpaas.nutshell.main import _parser as nutshell_parser

PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("plugins/*/README.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
#: Pages that people write, and that have commands in them.
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
#: Service types that a page makes up.
EXAMPLES = {"dice", "ticker"}
PROJECTS = [ROOT / "core", *sorted(ROOT.glob("plugins/*"))]


def named(page: Path) -> str:
    """A page's path, as the name of a test."""
    return page.relative_to(ROOT).as_posix()


# -- lists --------------------------------------------------------------------------------


def test_the_generated_pages_are_those_of_the_code() -> None:
    pages = generate.pages()
    there = {path.name: path.read_text() for path in (DOCS / "reference").glob("*.md")}
    stale = sorted(name for name in {*pages, *there} if pages.get(name) != there.get(name))
    assert stale == [], "run: make docs"


@pytest.mark.parametrize("page", ["reference/hooks.md", "plugin-guide.md"])
def test_every_hook_is_told(page: str) -> None:
    hooks = {name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction)}
    hooks = {name for name in hooks if name.startswith("conpaas_")}
    text = (DOCS / page).read_text()
    assert {name for name in hooks if not re.search(rf"\b{name}\b", text)} == set()
    assert set(re.findall(r"\bconpaas_[a-z_]+\b", text)) & hooks == hooks


def test_every_decision_is_listed() -> None:
    directory = DOCS / "decisions"
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (directory / "README.md").read_text()))
    assert listed == {path.name for path in directory.glob("[0-9]*.md")}


def test_all_distributions_have_one_version_which_the_changelog_tells() -> None:
    versions = {_project(directory)["version"] for directory in PROJECTS}
    assert len(versions) == 1
    assert f"## {versions.pop()}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("directory", PROJECTS[1:], ids=lambda directory: directory.name)
def test_the_readme_of_a_plugin_has_its_headings(directory: Path) -> None:
    lines = (directory / "README.md").read_text().splitlines()
    assert lines[0] == f"# {_project(directory)['name']}"
    assert re.match(r"[A-Z]", lines[2]), "what it is, in a sentence"
    wanted = ["## Use it", "## How it is made"]
    assert [line for line in lines if line in wanted] == wanted


def _project(directory: Path) -> dict[str, str]:
    project: dict[str, str] = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    return project


# -- links and commands -------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, heading = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (heading and heading not in _anchors(there)):
            dead.append(target)
    assert dead == []


def _prose(page: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_commands_exist_and_take_these_arguments(page: Path) -> None:
    for line in _command_lines(page):
        _check_command(shlex.split(line, comments=True), line, whole=True)
    for line in re.findall(r"`(cps-[a-z][^`]*)`", _prose(page)):
        if "<object>" not in line and not line.startswith("cps-<"):
            _check_command(shlex.split(line), line, whole=False)


def _command_lines(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language in ("", "sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if found := re.match(r"(?:\$ )?\s*(?:[\w./-]*/bin/)?(cps-\w.*)", line):
                    yield found[1]


def _check_command(words: list[str], line: str, *, whole: bool) -> None:
    program, *rest = words
    parsers = {
        "cps-director": director_parser,
        "cps-frontend": frontend_parser,
        "cps-nutshell": nutshell_parser,
    }
    if program in parsers:
        if rest:
            parsers[program]().parse_args(rest)  # ends the test when it does not fit
        return
    assert rest or program == "cps-tools" or not whole, line
    rest = take_globals(rest, {})
    name = program.removeprefix("cps-")
    if name == "tools":
        if not rest or rest[0] in ("complete", "shell"):
            return
        name, *rest = rest
    if name in EXAMPLES:
        return
    assert name in _index().objects, f"{line}: there is no object {name}"
    rest = take_globals(rest, {})
    if not rest:
        return
    commands = _index().commands(name)
    assert rest[0] in commands, f"{line}: there is no operation {rest[0]}"
    command = commands[rest[0]]
    if command["written"]:
        assert {word for word in rest if word[:2] == "--"} <= set(command["words"]), line
    elif whole or rest[1:]:
        try:
            parse(command, rest[1:])
        except Missing as missing:
            # The service need not be named when it is the only one.
            assert command["of_service"] and missing.given, line


@cache
def _index() -> Index:
    return Index(*build())


def test_make_knows_what_the_documents_make() -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {
        target
        for page in WRITTEN
        for target in re.findall(r"^(?:\$ )?make ([a-z]+)|`make ([a-z]+)", page.read_text(), re.M)
        for target in target
        if target
    }
    assert said - known == set()


def test_configurations_that_are_shown_can_be_read() -> None:
    shown = [b.text for b in blocks(DOCS / "how-to" / "install-a-director.md") if b.info == "toml"]
    whole, more = shown
    read = config.parse(DirectorConfig, whole, {}, "the page")
    assert read.clouds == {"local": {"driver": "local"}}
    section = tomllib.loads(whole)["director"] | tomllib.loads(more)["director"]
    text = config.render({"director": section})
    assert config.parse(DirectorConfig, text, {}, "the page").director.database_url


# -- steps --------------------------------------------------------------------------------


class Workshop:
    """A directory that looks like this tree, with an environment that may be installed into.

    Its Python sees everything that is installed for the tests, behind what it has of its own.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(
            ROOT / "plugins" / "conpaas-helloworld",
            directory / "plugins" / "conpaas-helloworld",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        venv.create(directory / ".venv", with_pip=False)
        programs = directory / ".venv" / "bin"
        packages = next((directory / ".venv").glob("lib/*/site-packages"))
        outer = sysconfig.get_path("purelib")
        (packages / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
        script = programs / "cps-tools"
        script.write_text(
            f"#!{programs / 'python'}\nimport sys\nfrom conpaas.cli.main import main\n"
            "sys.exit(main())\n"
        )
        script.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CONPAAS_", "PYTEST_"))}
        self._environment = {
            **kept,
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(directory / ".cache"),
            "LC_ALL": "C.UTF-8",
        }

    def write(self, block: Block) -> None:
        """Make the file that a block is."""
        file = self.directory / block.place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)

    def run(self, script: str) -> str:
        """Run lines of a shell, which must succeed, and return what they print."""
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, f"$ {script}\n{ran.stdout}"
        return ran.stdout


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A place to carry out the steps of a page."""
    return Workshop(tmp_path)


def test_the_first_plugin_comes_to_life_as_it_is_written(workshop: Workshop) -> None:
    for block in blocks(DOCS / "first-plugin.md"):
        if block.language == "python":
            workshop.write(block)
        elif block.info == "sh":
            workshop.run(block.text)
        elif block.info == "console":
            for command, expected in typed(block):
                _compare(workshop.run(command).splitlines(), expected)
        else:
            # What needs machines: that the command line would take it.
            assert block.info == "sh nutshell"
            for line in block.text.splitlines():
                if line.startswith("cps-"):
                    workshop.run(f".venv/bin/{line} --help")
    left = workshop.run("grep -rliE 'hello.?world' plugins/conpaas-dice || true")
    assert left == ""


def _compare(printed: list[str], expected: list[str]) -> None:
    """Assert that the expected lines were printed; between them, ``…`` stands for any."""
    at, free = 0, False
    for line in expected:
        if line == "…":
            free = True
            continue
        assert line in printed[at:] if free else printed[at : at + 1] == [line], (line, printed)
        at = printed.index(line, at) + 1
        free = False
    assert free or at == len(printed)


def test_the_example_of_the_plugin_guide_keeps_the_contract(workshop: Workshop) -> None:
    for block in blocks(DOCS / "plugin-guide.md"):
        if block.place:
            workshop.write(block)
        elif block.language == "toml":
            entries = block.text
    shutil.move(workshop.directory / "conpaas_ticker", workshop.directory / "src/conpaas_ticker")
    (workshop.directory / "src/conpaas_ticker/__init__.py").touch()
    (workshop.directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "conpaas-ticker"\nversion = "1"\n'
        f"{entries}"
        '[tool.hatch.build.targets.wheel]\npackages = ["src/conpaas_ticker"]\n'
    )
    workshop.run(".venv/bin/python -m pip install -q --no-build-isolation --no-deps -e .")
    assert " passed" in workshop.run(".venv/bin/python -m pytest -q tests")
    told = workshop.run(".venv/bin/cps-ticker say --help")
    assert told.startswith("Usage: cps-ticker say <app_name_or_id> <serv_name_or_id> <text>")
    assert "upload_poem" in workshop.run(".venv/bin/cps-tools ticker --help")


def test_the_example_of_a_cloud_keeps_the_contract(workshop: Workshop) -> None:
    page = DOCS / "how-to" / "write-a-cloud.md"
    code = "\n\n".join(block.text for block in blocks(page) if block.info == "python")
    workshop.write(Block("python test_trial.py", code))
    assert " passed" in workshop.run(".venv/bin/python -m pytest -q test_trial.py")


# -- the first session --------------------------------------------------------------------


def test_the_first_session_of_the_readme_goes_as_it_is_written(
    make_nutshell: Callable[[str], Nutshell], tmp_path: Path
) -> None:
    nutshell, normal = make_nutshell("readme"), Normal()
    _, *steps = blocks(ROOT / "README.md")
    for block in steps:
        if block.info == "sh" and "cps-nutshell" not in block.text:
            subprocess.run(["bash", "-euc", block.text], cwd=tmp_path, check=True)
        for command, expected in typed(block) if block.info == "console" else []:
            line = normal.type(command).replace("my-app.tar.gz", str(tmp_path / "my-app.tar.gz"))
            if line.startswith("curl"):
                # The script has been started; its server may take a moment.
                wait_for(line, lambda line=line: nutshell.cps(line).code == 0)
            normal.compare(expected, nutshell.cps.ok(line).splitlines())
    nutshell.destroy()
