"""A plugin that is broken is left out and told about; the others work, whatever it did."""

import subprocess
import sys
import textwrap

import pytest
from stevedore import ExtensionManager, _cache

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.clouds.memory import MemoryCloud
from conpaas.errors import NotFoundError
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.rpc import operations
from conpaas.service import Role, Service

WHOLE = """
    from conpaas import hookimpl
    from conpaas.agent.base import ServiceAgent
    from conpaas.manager.base import ServiceManager
    from conpaas.service import Role, Service

    class Manager(ServiceManager[ServiceAgent]):
        def on_start(self, nodes): pass

    @hookimpl
    def conpaas_service():
        return Service(name="{name}", title="T", summary="S.", manager=Manager,
                       agent=ServiceAgent, roles=(Role("node", "Does it"),))
"""
DECLARES = """
    from conpaas.rpc import expose

    class Declared:
        object = "user"

        @expose(reads=True)
        def {}(self) -> int:
            \"\"\"Do it.\"\"\"

    @hookimpl
    def conpaas_api(): return [Declared]
"""
MISSPELT = WHOLE + "\n    @hookimpl\n    def conpaas_node_added(service, nodes): pass\n"
WRONG_ARGUMENT = WHOLE + "\n    @hookimpl\n    def conpaas_nodes_added(service, node): pass\n"

BROKEN = {
    "import error": ("import no_such_module_of_mine", "does not import.*no_such_module_of_mine"),
    "missing name": ("from conpaas import no_such_name", "does not import.*no_such_name"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "raises": ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
    "asserts": ("assert 1 == 2, 'arithmetic'", "AssertionError: arithmetic"),
    "misspelt hook": (MISSPELT, "conpaas_node_added"),
    "wrong argument": (WRONG_ARGUMENT, "node"),
    "returns nothing of use": (
        "from conpaas import hookimpl\n@hookimpl\ndef conpaas_service(): return 'service'",
        "must return a Service, not 'service'",
    ),
    "raises when asked": (
        "from conpaas import hookimpl\n@hookimpl\ndef conpaas_service(): return 1 / 0",
        "ZeroDivisionError",
    ),
    "another name": (WHOLE.replace("{name}", "other"), "'other'.*must be the same"),
    "no roles": (
        WHOLE.replace('(Role("node", "Does it"),)', "()"),
        "has no roles",
    ),
    "a manager that is not there": (
        WHOLE.replace("manager=Manager", "manager='no_such_module_of_mine:Manager'"),
        "no_such_module_of_mine:Manager.* cannot be imported",
    ),
    "a manager that is none": (
        WHOLE.replace("manager=Manager", "manager='conpaas.agent.base:ServiceAgent'"),
        "is no ServiceManager",
    ),
    "an agent that is none": (
        WHOLE.replace("agent=ServiceAgent", "agent=42"),
        "is no ServiceAgent",
    ),
    "an operation that is there": (WHOLE + DECLARES.format("list"), "user list is declared twice"),
    "an object without a name": (
        WHOLE + DECLARES.format("fly").replace('object = "user"', "pass"),
        "must say which object",
    ),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a plugin as pip would, for this test."""
    # stevedore remembers what was installed, in the process and on the disk.
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    monkeypatch.setattr(_cache._c, "_dir", str(tmp_path / "cache"))
    made = []

    def install(name, source, entry=None):
        number = len(made)
        module = f"plugin_of_a_test_{number}"
        made.append(module)
        site = tmp_path / f"site{number}"
        site.mkdir()
        text = textwrap.dedent(source).replace("{name}", name)
        (site / f"{module}.py").write_text(text)
        info = site / f"dist_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: dist-{number}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[conpaas.plugins]\n{name} = {entry or module}\n")
        monkeypatch.syspath_prepend(site)

    yield install
    for module in made:
        sys.modules.pop(module, None)


def reasons(plugins):
    return {broken.name: broken.reason for broken in plugins.broken}


def test_a_process_that_runs_agents_imports_no_managers(install):
    source = WHOLE.replace("manager=Manager", "manager='no_such_module_of_mine:Manager'")
    install("mine", source)
    plugins = Plugins.installed(only=["mine"], for_agents=True)
    assert plugins.service("mine").agent_class is ServiceAgent
    assert Plugins.installed(only=["mine"]).broken != []


def test_an_agents_process_has_no_managers():
    code = (
        "import sys, conpaas.agent.__main__; from conpaas.plugins import Plugins;"
        "Plugins.installed(only=['generic'], for_agents=True);"
        "print([m for m in sys.modules if m.startswith('conpaas') and 'manager' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_installed_plugin_is_found(install):
    install("mine", WHOLE)
    plugins = Plugins.installed()
    assert plugins.service("mine").title == "T"
    assert ("mine", "dist-0", "ok") in plugins.listing()
    assert plugins.broken == []


def test_a_plugin_adds_operations_to_an_object_of_the_api(install):
    install("mine", WHOLE + DECLARES.format("fly"))
    users = next(cls for cls in Plugins.installed().api if cls.object == "user")
    assert {"fly", "list", "passwd"} <= operations(users).keys()


def test_a_service_type_must_not_be_called_like_an_object(install):
    install("user", WHOLE)
    plugins = Plugins.installed()
    assert "choose another name" in reasons(plugins)["user"]


@pytest.mark.parametrize(("source", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_left_out_and_told_and_the_others_work(install, source, told):
    install("bad", source)
    install("good", WHOLE)
    plugins = Plugins.installed()
    assert "good" in plugins.services and "bad" not in plugins.services
    (broken,) = plugins.broken
    assert (broken.name, broken.distribution) == ("bad", "dist-0")
    assert "\n" not in broken.reason
    with pytest.raises(NotFoundError, match=told):
        plugins.service("bad")
    # Nothing of it is called any more.
    plugins.hook.conpaas_nodes_added(service=None, nodes=[])
    assert [s.name for s in plugins.hook.conpaas_service()].count("bad") == 0


def test_a_module_that_is_not_there_is_told(install):
    install("bad", "", entry="no_such_module_at_all.plugin")
    assert "no_such_module_at_all" in reasons(Plugins.installed())["bad"]


def test_of_two_plugins_with_one_name_the_second_is_left_out_and_the_first_works(install):
    heard = WHOLE + (
        "\n    heard = []"
        "\n    @hookimpl"
        "\n    def conpaas_nodes_added(service, nodes): heard.append('{name}')\n"
    )
    install("twin", heard)
    install("twin", heard)
    plugins = Plugins.installed()
    assert "taken" in reasons(plugins)["twin"]
    assert len(plugins.broken) == 1
    assert plugins.service("twin").title == "T"
    plugins.hook.conpaas_nodes_added(service=None, nodes=[])
    modules = [sys.modules[f"plugin_of_a_test_{n}"] for n in (0, 1)]
    assert sorted(len(module.heard) for module in modules) == [0, 1]


def test_one_module_under_two_names_is_left_out_the_second_time(install):
    install("one", WHOLE)
    install("two", "", entry="plugin_of_a_test_0")
    plugins = Plugins.installed()
    assert "one" in plugins.services
    assert "two" in reasons(plugins)


def test_only_those_named_are_loaded(install):
    install("wanted", WHOLE)
    install("unwanted", "raise RuntimeError('I was imported')")
    plugins = Plugins.installed(only=["wanted"])
    assert list(plugins.services) == ["wanted"]
    assert plugins.broken == []
    assert "plugin_of_a_test_1" not in sys.modules


def test_one_that_the_settings_name_and_nobody_installed_is_told():
    plugins = Plugins.installed(only=["no-such"])
    assert "not installed" in reasons(plugins)["no-such"]
    with pytest.raises(NotFoundError, match="not installed"):
        plugins.service("no-such")


def test_one_that_the_settings_name_and_that_is_broken_is_told_once(install):
    install("bad", "raise RuntimeError('no')")
    plugins = Plugins.installed(only=["bad"])
    assert reasons(plugins) == {"bad": "RuntimeError: no"}
    assert len(plugins.broken) == 1


def test_cores_own_features_are_there_however_few_plugins_are_named():
    assert "memory" in Plugins.installed(only=[]).clouds


# -- given by hand --------------------------------------------------------------------------------


class Manager(ServiceManager[ServiceAgent]):
    def on_start(self, nodes):
        """Do nothing."""


def service(name, **more):
    roles = (Role("node", "Does it"),)
    return Service(
        name=name, title="T", manager=Manager, agent=ServiceAgent, **{"roles": roles, **more}
    )


class Brings:
    def __init__(self, service):
        self.service = service

    @hookimpl
    def conpaas_service(self):
        return self.service


def test_service_types_are_listed_by_name():
    plugins = Plugins(b=Brings(service("b")), a=Brings(service("a")))
    assert list(plugins.services) == ["a", "b"]


def test_a_misspelt_service_type_is_told_the_nearest():
    plugins = Plugins(helloworld=Brings(service("helloworld")))
    with pytest.raises(NotFoundError, match="did you mean 'helloworld'"):
        plugins.service("helloword")


def test_a_long_name_does_not_make_a_long_error():
    with pytest.raises(NotFoundError) as refusal:
        Plugins().service("x" * 100_000)
    assert len(refusal.value.message) < 200


class BringsCloud:
    def __init__(self, cloud):
        self.cloud = cloud

    @hookimpl
    def conpaas_cloud(self):
        return self.cloud


def test_of_two_clouds_of_one_kind_the_second_is_left_out():
    plugins = Plugins(a=BringsCloud(MemoryCloud), b=BringsCloud(MemoryCloud))
    assert plugins.clouds == {"memory": MemoryCloud}
    assert "taken" in reasons(plugins)["b"]


def test_a_cloud_that_is_none_does_not_hide_the_others():
    plugins = Plugins(a=BringsCloud(object), b=BringsCloud("cloud"), c=BringsCloud(MemoryCloud))
    assert plugins.clouds == {"memory": MemoryCloud}
    assert set(reasons(plugins)) == {"a", "b"}


def test_a_plugin_whose_cloud_is_broken_is_told_as_broken_only():
    plugins = Plugins(a=BringsCloud("cloud"))
    assert plugins.clouds == {}
    assert [row[0] for row in plugins.listing()] == ["a"]
    assert plugins.listing()[0][2] != "ok"
