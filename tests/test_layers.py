"""Who may import whom: the floors that the modules stand on, read from the source."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core" / "src"
PLUGINS = sorted(ROOT.glob("plugins/*/src"))
SERVERS = ("agent", "manager", "director", "cli", "frontend", "nutshell", "machine")
#: What a client needs of a server: the class that service types inherit, to derive commands from.
DERIVATION = {
    "conpaas.cli.build": {"conpaas.manager.base"},
    "conpaas.frontend.service_types": {"conpaas.manager.base"},
}
LONGEST = 400  #: lines of a module
#: Declarations and contracts, long because they say everything in one place.
LONG = {"conpaas.api": 500, "conpaas.manager.base": 450}


@dataclass(frozen=True)
class Import:
    """An import of one module by another, and when it happens."""

    by: str
    what: str
    typing: bool = False  #: under ``if TYPE_CHECKING``
    late: bool = False  #: inside a function


@cache
def modules() -> dict[str, Path]:
    """Every module of core and of the plugins, by name."""
    found = {}
    for source in (CORE, *PLUGINS):
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module; ``from package import module`` is one of the module."""
    return tuple(
        one
        for name, path in modules().items()
        for one in _imports_of(name, ast.parse(path.read_text()), typing=False, late=False)
    )


def _imports_of(name: str, node: ast.AST, *, typing: bool, late: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(name, alias.name, typing, late) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{name} imports relatively"
        assert node.module is not None
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield Import(name, whole if whole in modules() else node.module, typing, late)
    late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    only_typing = isinstance(node, ast.If) and _is_type_checking(node.test)
    for field, children in ast.iter_fields(node):
        for child in children if isinstance(children, list) else [children]:
            if isinstance(child, ast.AST):
                inside = typing or (only_typing and field == "body")
                yield from _imports_of(name, child, typing=inside, late=late)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def within(name: str, package: str) -> bool:
    """Whether a module is a package or in it."""
    return name == package or name.startswith(f"{package}.")


def room(name: str) -> str:
    """The package or module right below ``conpaas`` that a module is in."""
    return name.split(".")[1] if within(name, "conpaas") and "." in name else ""


def broken(forbidden: Callable[[Import], bool], *, typing: bool = False) -> list[str]:
    """What breaks a rule, as ``module → module``; imports for type checkers only if asked."""
    return [
        f"{one.by} → {one.what}"
        for one in imports()
        if (typing or not one.typing) and forbidden(one)
    ]


# -- floors -------------------------------------------------------------------------------


def test_the_contract_stands_on_no_server() -> None:
    contract = {
        f"conpaas.{name}"
        for name in (
            "rpc", "errors", "schema", "state", "service_type", "names", "nearest", "logs",
            "records",
        )
    }  # fmt: skip
    assert contract <= modules().keys()
    assert broken(lambda i: i.by in contract and room(i.what) in SERVERS) == []


def test_a_service_type_names_only_the_classes_to_inherit() -> None:
    known = {"conpaas.agent.base", "conpaas.manager.base"}
    assert (
        broken(
            lambda i: i.by == "conpaas.service" and room(i.what) in SERVERS and i.what not in known
        )
        == []
    )


@pytest.mark.parametrize(
    ("floor", "above"),
    [
        ("agent", {"manager", "director", "cli", "frontend", "nutshell"}),
        ("manager", {"director", "cli", "frontend", "nutshell"}),
        ("director", {"cli", "frontend", "nutshell"}),
        ("clouds", {"agent", "manager", "director", "cli", "frontend", "nutshell"}),
        ("features", {"director", "cli", "frontend", "nutshell"}),
        ("supervisor", {"agent", "manager", "director", "cli", "frontend", "nutshell"}),
        ("machine", {"agent", "manager", "director", "cli", "frontend", "nutshell"}),
    ],
)
def test_a_floor_knows_nothing_of_those_above(floor: str, above: set[str]) -> None:
    assert any(room(name) == floor for name in modules())
    # What its hooks are given, a feature may name.
    assert (
        broken(
            lambda i: (
                room(i.by) == floor
                and room(i.what) in above
                and not _is_part_of(room(i.what), i.by)
            ),
            typing=floor != "features",
        )
        == []
    )


def _is_part_of(server: str, name: str) -> bool:
    """Whether a module is a feature's part of a server: ``conpaas.features.<name>.<server>``."""
    return re.fullmatch(rf"conpaas\.features\.\w+\.{server}(\.\w+)*", name) is not None


def test_clients_see_declarations_and_no_server() -> None:
    assert (
        broken(
            lambda i: (
                room(i.by) in ("cli", "frontend")
                and room(i.what)
                in ("agent", "manager", "director", "machine", "nutshell", "clouds")
                and i.what not in DERIVATION.get(i.by, ())
            ),
            typing=True,
        )
        == []
    )


def test_only_tests_import_the_testing_kit() -> None:
    def is_kit(name: str) -> bool:
        # Plugins bring kits of their own, for the tests of others: conpaas_mysql.balancer_testing.
        ends = ("testing", "rehearsal", "theatre")
        return room(name) == "testing" or (_is_plugin(name) and name.endswith(ends))

    assert broken(lambda i: is_kit(i.what) and not is_kit(i.by)) == []


# -- plugins ------------------------------------------------------------------------------


def test_core_imports_no_plugin() -> None:
    assert broken(lambda i: within(i.by, "conpaas") and _is_plugin(i.what), typing=True) == []


def test_a_plugin_imports_core_itself_and_what_it_declares() -> None:
    allowed = {name: _declared(path) for name, path in _plugin_packages().items()}

    def foreign(one: Import) -> bool:
        own, what = one.by.split(".")[0], one.what.split(".")[0]
        return (
            own in allowed
            and what not in {own, "conpaas", *sys.stdlib_module_names}
            and what not in allowed[own]
        )

    assert broken(foreign, typing=True) == []


def test_a_plugin_does_not_reach_into_the_servers() -> None:
    """The base classes and the values are the contract; hosts, books and servers are not."""
    contract = {
        "agent": {"conpaas.agent.base"},
        "manager": {"conpaas.manager.base", "conpaas.manager.nodes", "conpaas.manager.place"},
        "frontend": {
            "conpaas.frontend.service_view",
            "conpaas.frontend.forms",
            "conpaas.frontend.page",
            "conpaas.frontend.settings",
        },
    }
    assert (
        broken(
            lambda i: (
                _is_plugin(i.by)
                and room(i.what) in (*SERVERS, "clouds", "images")
                and i.what not in contract.get(room(i.what), ())
            ),
            typing=True,
        )
        == []
    )


def _is_plugin(name: str) -> bool:
    return name.startswith("conpaas_")


def _plugin_packages() -> dict[str, Path]:
    return {path.name: path for source in PLUGINS for path in source.iterdir() if path.is_dir()}


def _declared(package: Path) -> set[str]:
    """The packages that a plugin's own distribution says it needs, core's apart."""
    import tomllib

    project = tomllib.loads((package.parents[1] / "pyproject.toml").read_text())["project"]
    # What core needs comes with it, and is part of what it offers: msgspec.Meta marks arguments,
    # agents give their figures as prometheus_client's metrics.
    needed = {re.split(r"[^\w.-]", text)[0].lower() for text in project["dependencies"]}
    needed |= {"msgspec", "prometheus-client"}
    ours = {name for name, path in _plugin_packages().items() if path.parents[1].name in needed}
    return ours | {
        name
        for name, distributions in packages_distributions().items()
        if needed & {one.lower().replace("_", "-") for one in distributions}
    }


# -- circles ------------------------------------------------------------------------------


def test_imports_have_no_circles() -> None:
    # Not even late ones, and those for type checkers.
    assert circles(list(imports())) == []


def circles(edges: list[Import]) -> list[list[str]]:
    """The groups of modules that import one another, sorted (Tarjan's algorithm)."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for edge in edges:
        if edge.what in graph and edge.what != edge.by:
            graph[edge.by].add(edge.what)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(found)


def test_a_circle_is_found() -> None:
    there_and_back = [
        Import("conpaas.rpc", "conpaas.state"),
        Import("conpaas.state", "conpaas.errors"),
        Import("conpaas.errors", "conpaas.rpc"),
    ]
    assert circles(there_and_back) == [["conpaas.errors", "conpaas.rpc", "conpaas.state"]]


# -- names and sizes ----------------------------------------------------------------------


#: "generic" and "java" are words of their own: they count where they are names or strings.
SERVICE_TYPES = re.compile(
    r"""\b(?:helloworld|php|mysql|mariadb|galera|tomcat|xtreemfs)\b
    |\bconpaas[-_]\w*(?:helloworld|generic|php|java|mysql|xtreemfs)\b
    |\bcps-(?:helloworld|generic|php|java|mysql|xtreemfs)\b
    |(?P<quote>["'`])(?:generic|java)(?P=quote)""",
    re.IGNORECASE | re.VERBOSE,
)


def test_nothing_in_core_names_a_service_type() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(CORE.rglob("*"))
        if path.is_file() and path.suffix not in (".pyc", "")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SERVICE_TYPES.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ['add("generic")', "cps-php start", "import conpaas_java", "MySQL"]
)
def test_a_service_type_is_noticed(line: str) -> None:
    assert SERVICE_TYPES.search(line)


@pytest.mark.parametrize(
    "line", ["class A(Generic[T]):", "a generic answer", "phpinfo", "genericx"]
)
def test_ordinary_words_are_not_taken_for_service_types(line: str) -> None:
    assert not SERVICE_TYPES.search(line)


def test_modules_fit_in_a_head() -> None:
    long = {
        name: lines
        for name, path in modules().items()
        if (lines := len(path.read_text().splitlines())) > LONG.get(name, LONGEST)
    }
    assert long == {}


def test_no_room_is_called_after_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name for name in modules() if empty & set(name.split("."))] == []
