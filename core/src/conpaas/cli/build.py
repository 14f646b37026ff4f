"""Build the command index from the declarations of the director and of the installed plugins."""

from __future__ import annotations

import importlib.metadata
import logging
import marshal
import os
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from conpaas.api import Services
from conpaas.cli.commands import Commands
from conpaas.cli.describe import command
from conpaas.cli.shapes import Command, Entry
from conpaas.manager.base import ServiceManager
from conpaas.plugins import GROUP, Plugins
from conpaas.rpc import operations
from conpaas.service import Service

#: The operations of the object ``service`` that the object of a service type has as well.
_OF_TYPE = ("add", "get_state", "get_types", "list", "remove", "rename")


def build(plugins: Plugins | None = None) -> tuple[str, dict[str, str], dict[str, Entry]]:
    """Return our version, the broken plugins with their reasons, and the objects by name."""
    for noisy in ("conpaas", "stevedore"):
        # A broken plugin is told about when it is asked for, in one line.
        logging.getLogger(noisy).addHandler(logging.NullHandler())
    plugins = plugins or Plugins.installed()
    written, refused = _hand_written(plugins)
    broken = {one.name: one.reason for one in plugins.broken} | refused
    objects: dict[str, Entry] = {}
    for cls in plugins.api:
        name: str = cls.object  # type: ignore[attr-defined]  # each of them has it
        found = {o.name: command(name, o) for o in operations(cls).values() if not o.hidden}
        if cls is Services:
            found = _service_commands(name, plugins) | found
        objects[name] = _entry(cls.__doc__, found, written.pop(name, {}))
    for service in plugins.services.values():
        text = service.summary or f"{service.title} services."
        found = _type_commands(service)
        objects[service.name] = _entry(text, found, written.pop(service.name, {}), is_type=True)
    for name, found in sorted(written.items()):
        objects[name] = _entry("", {}, found)
    return _version(), broken, objects


def sources() -> list[str]:
    """Return every file that the index just built depends on, directories of plugins included.

    Those are the modules that are loaded, except Python's own, and everything that a plugin's
    package consists of: a file of a broken plugin is not loaded, yet its repair must be seen.
    """
    own = sysconfig.get_path("stdlib") + os.sep
    found = {
        str(file)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and _ours(str(file), own)
    }
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        package = sys.modules.get(entry_point.module.partition(".")[0])
        for directory in getattr(package, "__path__", ()):
            for path in (Path(directory), *Path(directory).rglob("*")):
                if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"):
                    found.add(str(path))
        for file in getattr(entry_point.dist, "files", None) or ():
            if file.name == "entry_points.txt":
                found.add(str(file.locate()))
    return sorted(found)


def _ours(file: str, stdlib: str) -> bool:
    # Other libraries change only by an installation, which changes their directory.
    if Path(file).is_relative_to(Path(__file__).parents[1]):
        return True
    return not file.startswith(stdlib) and "site-packages" not in file


def _service_commands(object_name: str, plugins: Plugins) -> dict[str, Command]:
    roles = [role for service in plugins.services.values() for role in service.roles]
    return {
        operation.name: command(object_name, operation, of_service=True, roles=roles)
        for operation in operations(ServiceManager).values()
        if not operation.hidden
    }


def _type_commands(service: Service) -> dict[str, Command]:
    found = {
        operation.name: command(
            service.name,
            operation,
            of_service=True,
            roles=service.roles,
            default_role=service.default_role.name,
        )
        for operation in operations(service.manager_class).values()
        if not operation.hidden
    }
    general = operations(Services)
    asked = service.losing(general["remove"].confirm)
    general = {**general, "remove": replace(general["remove"], confirm=asked)}
    return found | {
        name: command(service.name, general[name], service_type=service.name) for name in _OF_TYPE
    }


def _hand_written(plugins: Plugins) -> tuple[dict[str, dict[str, Command]], dict[str, str]]:
    commands, refused = Commands(), {}
    commands.add("user get_certificate", "conpaas.cli.certificate:GetCertificate")
    for implementation in plugins.hook.conpaas_commands.get_hookimpls():
        try:
            implementation.function(commands)
        except Exception as error:
            refused[implementation.plugin_name] = f"its commands are left out: {error}"
    found: dict[str, dict[str, Command]] = {}
    for (object_name, operation), one in sorted(commands.found.items()):
        found.setdefault(object_name, {})[operation] = one
    return found, refused


def _entry(
    text: str | None, found: dict[str, Command], written: dict[str, Command], is_type: bool = False
) -> Entry:
    found = dict(sorted((found | written).items()))
    return Entry(
        summary=(text or "").partition("\n")[0],
        is_type=is_type,
        operations={name: one["summary"] for name, one in found.items()},
        commands=marshal.dumps(found),
    )


def _version() -> str:
    try:
        return importlib.metadata.version("conpaas-core")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
