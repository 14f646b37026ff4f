"""The page of the settings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

from conpaas.agent.config import AgentConfig
from conpaas.cli.config import KEYS as CLIENT_KEYS
from conpaas.director.config import DirectorConfig
from conpaas.frontend.config import FrontendConfig
from conpaas.manager.config import ManagerConfig
from conpaas.plugins import Plugins
from conpaas.schema import Hint
from describing.spelling import cell, shown, spell, summary


def settings_page(plugins: Plugins) -> Iterator[str]:
    """Return the page of the configuration files."""
    yield from (
        "# Settings",
        "",
        "Files are TOML. An unknown key is an error. `CONPAAS_<SECTION>_<KEY>` in the environment",
        "of a server overrides a key of a section, as in `CONPAAS_DIRECTOR_WORKERS=4`.",
        "",
        "# /etc/conpaas/director.toml",
        "",
        "The director's. `cps-director check` explains what is wrong in it.",
        "",
    )
    yield from _sections(DirectorConfig)
    yield from (
        "# Clouds",
        "",
        "Each section `[clouds.<name>]` is a place that machines come from; its name is yours.",
        "The key `driver` says of what kind it is, the other keys are that kind's.",
        "",
    )
    for kind, cloud in plugins.clouds.items():
        yield from (f'## driver = "{kind}"', "", summary(cloud), "")
        yield from _keys(cloud.Settings)
    yield from (
        "# /etc/conpaas/manager.toml",
        "",
        "A manager's. The director writes it when the manager's machine joins.",
        "",
    )
    yield from _sections(ManagerConfig)
    yield from (
        "# /etc/conpaas/agent.toml",
        "",
        "An agent's. The director writes it when the agent's machine joins.",
        "",
    )
    yield from _sections(AgentConfig)
    yield from (
        "# /etc/conpaas/frontend.toml",
        "",
        "That of web pages on another machine than the director's; beside it the director writes",
        "one. `cps-frontend serve` reads it.",
        "",
    )
    yield from _sections(FrontendConfig)
    yield from (
        "# cps-tools.conf",
        "",
        "The command line's: `~/.conpaas/cps-tools.conf`, before `/etc/cps-tools.conf`. Not TOML,",
        "but a section `[cps-tools]` of lines `key = value`. `CONPAAS_<KEY>` in the environment",
        "overrides a key, an option on the command line overrides both.",
        "",
        f"Keys: {', '.join(f'`{key}`' for key in CLIENT_KEYS)}.",
        "",
    )


def _sections(cls: Any) -> Iterator[str]:
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from (f"## [{name}]", "", summary(hint), "")
            yield from _keys(hint)


def _keys(cls: Any) -> Iterator[str]:
    hints = get_type_hints(cls, include_extras=True)
    told = _told(cls)
    yield from ("| key | type | default | |", "|---|---|---|---|")
    for field in dataclasses.fields(cls):
        hint = Hint.of(hints[field.name])
        text = hint.help or told.get(field.name, "")
        default = _default(field)
        yield f"| `{field.name}` | {spell(hint.type)} | {default} | {cell(text)} |"
    yield ""


def _told(cls: Any) -> dict[str, str]:
    """Return what a class's docstring says about its fields."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    _, _, listed = doc.partition("\nArgs:\n")
    found = dict(re.findall(r"^    (\w+): (.*?)(?=^    \w|^\S|\Z)", listed, re.M | re.S))
    return {name: re.sub(r"\s+", " ", text).strip().rstrip(".") for name, text in found.items()}


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{shown(field.default)}`"
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        if isinstance(made, dict):
            return ", ".join(f"`{key}`: {shown(value)}" for key, value in made.items()) or "none"
        return f"`{shown(made)}`"
    return "*(needed)*"
