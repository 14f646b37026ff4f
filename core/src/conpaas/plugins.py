"""Find plugins with stevedore, then hand them to pluggy; nothing else touches either.

A plugin that fails to import, misspells a hook or claims a taken name is left out and told about
in :attr:`Plugins.broken`; it never stops a process.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy
from stevedore import ExtensionManager, NamedExtensionManager
from stevedore.extension import Extension

from conpaas import hookspecs
from conpaas.api import USER_API, ManagerDesk
from conpaas.clouds.base import Cloud
from conpaas.errors import NotFoundError, PluginError
from conpaas.nearest import did_you_mean
from conpaas.rpc import operations
from conpaas.service import Service

#: The entry-point group that plugins register in.
GROUP = "conpaas.plugins"
_OBJECTS = {cls.object for cls in (*USER_API, ManagerDesk)}  # type: ignore[attr-defined]  # all do
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Broken:
    """A plugin that is installed and cannot be used, and why."""

    name: str
    distribution: str
    reason: str


def combined(classes: Sequence[type]) -> dict[str, type]:
    """Return one class for each object of the API by its name: of several, one of all of them.

    Raises:
        PluginError: Two of them say what the same operation is.
    """
    found: dict[str, list[Any]] = {}
    for cls in classes:
        found.setdefault(cls.object, []).append(cls)  # type: ignore[attr-defined]
    return {name: parts[0] if len(parts) == 1 else _one(parts) for name, parts in found.items()}


def _one(parts: list[Any]) -> type:
    names = [name for part in parts for name in operations(part)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PluginError(f"the operation {parts[0].object} {twice[0]} is declared twice")
    first = parts[0]
    # The first one's words describe the whole; its own operations come first.
    return type(first.__name__, tuple(parts), {"__doc__": first.__doc__})


class Plugins:
    """The plugins of a process: those given, found to be whole, by name."""

    def __init__(self, **modules: ModuleType | object) -> None:
        self.broken: list[Broken] = []
        self._manager = pluggy.PluginManager("conpaas")
        self._manager.add_hookspecs(hookspecs)
        self._names: list[str] = []
        self._services: dict[str, Service] = {}
        self._declared: list[type] = []
        self._for_agents = False
        for name, module in sorted(modules.items()):
            self._add(name, module)

    @classmethod
    def installed(
        cls, only: Collection[str] | None = None, *, for_agents: bool = False
    ) -> Plugins:
        """Return the installed plugins and core's own features.

        Args:
            only: The names of the plugins to load; None loads all.
            for_agents: The process runs agents, and needs no managers: it does not import them.
        """
        from conpaas import features

        plugins = cls(**features.modules())
        plugins._for_agents = for_agents
        failed = plugins._does_not_load
        # Those that are not named are not even imported: an agent has its own service type only.
        found = (
            _All(GROUP, on_load_failure_callback=failed)
            if only is None
            else _Named(
                GROUP,
                sorted(only),
                on_load_failure_callback=failed,
                on_missing_entrypoints_callback=None,
            )
        )
        for extension in sorted(found, key=lambda extension: extension.name):
            plugins._add(extension.name, extension.plugin)
        for name in sorted(set(only or ()) - set(found.names())):
            if all(broken.name != name for broken in plugins.broken):
                plugins._leave_out(name, "it is asked for in the settings and not installed")
        return plugins

    @property
    def hook(self) -> Any:
        """Calls a hook in every plugin: ``plugins.hook.conpaas_nodes_added(…)``."""
        return self._manager.hook

    def tell(self, hook: str, **values: Any) -> None:
        """Tell every plugin what has happened; one that fails keeps nobody from anything."""
        for told in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                told.function(*(values[name] for name in told.argnames))
            except Exception:
                logger.exception("plugin %s failed at %s", told.plugin_name, hook)

    @property
    def modules(self) -> dict[str, Any]:
        """What implements the hooks of each plugin that can be used, by its name, sorted."""
        return {name: self._manager.get_plugin(name) for name in sorted(self._names)}

    @property
    def services(self) -> dict[str, Service]:
        """The service types by name, sorted."""
        return dict(sorted(self._services.items()))

    @functools.cached_property
    def clouds(self) -> dict[str, type[Cloud]]:
        """The kinds of cloud by name, sorted; asked for by the director only."""
        kinds: dict[str, type[Cloud]] = {}
        for name in sorted(self._names):  # a copy: one that is broken leaves the list
            module = self._manager.get_plugin(name)
            try:
                for cloud in self._answers(module, "conpaas_cloud", type):
                    if cloud.kind in kinds:
                        raise PluginError(f"the kind of cloud {cloud.kind!r} is taken")
                    kinds[cloud.kind] = cloud
            except Exception as error:
                self._names.remove(name)
                self._leave_out(name, _in_words(error))
        return dict(sorted(kinds.items()))

    @property
    def api(self) -> tuple[type, ...]:
        """The declarations of all objects that users call, those that plugins add included."""
        return tuple(combined([*USER_API, *self._declared]).values())

    def service(self, name: str) -> Service:
        """Return a service type.

        Raises:
            NotFoundError: No plugin provides it; tells the nearest, and why it may be missing.
        """
        if name in self._services:
            return self._services[name]
        for broken in self.broken:
            if broken.name == name:
                raise NotFoundError(f"the service type {name!r} is broken: {broken.reason}")
        raise NotFoundError(
            f"there is no service type {name[:60]!r}{did_you_mean(name, self._services)}"
        )

    def listing(self) -> list[tuple[str, str, str]]:
        """Return (name, distribution, "ok" or why it is broken) of each plugin, sorted."""
        whole = [(name, self._owners.get(name, ""), "ok") for name in self._names]
        broken = [(b.name, b.distribution, b.reason) for b in self.broken]
        return sorted(whole + broken)

    def _add(self, name: str, module: Any) -> None:
        declared = self._declared
        try:
            if self._manager.get_plugin(name) is not None:
                raise PluginError(f"the name {name!r} is taken by another plugin")
            if self._manager.is_registered(module):
                raise PluginError("it is the same module as another plugin")
            self._manager.register(module, name=name)
            self._check(module)
            services = self._answers(module, "conpaas_service", Service)
            self._declare(self._answers(module, "conpaas_api", list))
            self._claim(name, services)
        except Exception as error:
            if self._manager.get_plugin(name) is module:
                self._manager.unregister(name=name)
            self._declared = declared
            self._leave_out(name, _in_words(error))
            return
        self._names.append(name)

    def _check(self, module: Any) -> None:
        # pluggy's check_pending looks at all plugins: with the others checked before, it can
        # only complain about this one.
        self._manager.check_pending()
        for caller in self._manager.get_hookcallers(module) or []:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module and caller.spec is None:
                    raise PluginError(f"there is no hook {caller.name}")

    def _answers(self, module: Any, hook: str, kind: type) -> list[Any]:
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not module]
        answers = self._manager.subset_hook_caller(hook, remove_plugins=others)()
        for answer in answers:
            if not isinstance(answer, kind):
                raise PluginError(f"{hook} must return a {kind.__name__}, not {answer!r}")
        return list(answers)

    def _declare(self, answers: list[list[type]]) -> None:
        declared = [*self._declared, *(cls for classes in answers for cls in classes)]
        for cls in declared:
            if not isinstance(getattr(cls, "object", None), str):
                raise PluginError(f"{cls!r} must say which object of the API it is: object = …")
        combined([*USER_API, *declared])
        self._declared = declared

    def _claim(self, name: str, services: list[Service]) -> None:
        for service in services:
            if service.name != name:
                raise PluginError(
                    f"its entry point is called {name!r} and its service type {service.name!r}: "
                    "they must be the same"
                )
            if service.name in self._services:
                raise PluginError(f"the service type {service.name!r} is taken by another plugin")
            if service.name in _OBJECTS:
                raise PluginError(f"{service.name!r} is an object of the API: choose another name")
            if not service.roles:
                raise PluginError(f"the service type {service.name!r} has no roles")
            # Here: one whose classes do not import is left out, and stops no process later.
            _ = service.agent_class
            if not self._for_agents:
                _ = service.manager_class
        self._services |= {service.name: service for service in services}

    def _does_not_load(self, manager: Any, entry_point: Any, error: BaseException) -> None:
        self._leave_out(entry_point.name, _in_words(error))

    def _leave_out(self, name: str, reason: str) -> None:
        logger.error("plugin %s is left out: %s", name, reason)
        self.broken.append(Broken(name, self._owners.get(name, ""), reason))

    @functools.cached_property
    def _owners(self) -> dict[str, str]:
        # stevedore's cache does not keep which distribution an entry point is of; to find out
        # takes longer than the rest of this file, so only who tells it to people does.
        return {e.name: e.dist.name for e in entry_points(group=GROUP) if e.dist}


class _All(ExtensionManager[Any]):
    """Lets no plugin stop the process: stevedore does, for one whose import asserts in vain."""

    def _load_one_plugin(self, ep: EntryPoint, *rest: Any) -> Extension[Any] | None:
        try:
            return super()._load_one_plugin(ep, *rest)
        except AssertionError as error:
            raise PluginError(f"AssertionError: {error}") from error


class _Named(NamedExtensionManager[Any], _All):
    pass


def _in_words(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, ImportError):
        return f"it does not import: {error}"
    if isinstance(error, pluggy.PluginValidationError):
        return str(error).partition("\n")[2].replace("\n", " ").strip() or str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
