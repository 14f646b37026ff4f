"""TOML files read once into frozen dataclasses; ``CONPAAS_<SECTION>_<KEY>`` overrides them."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from conpaas.errors import InvalidError
from conpaas.nearest import did_you_mean
from conpaas.schema import Hint, from_json, from_text

T = TypeVar("T")
ENVIRONMENT_PREFIX = "CONPAAS_"


def load(cls: type[T], path: Path, environment: Mapping[str, str]) -> T:
    """Read a file into ``cls``, a frozen dataclass whose fields are sections (dataclasses).

    Raises:
        InvalidError: The file is missing or no TOML, a key is unknown, missing or of the wrong
            type; the text names the file, the section and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidError(f"{path} is not TOML: {error}") from None
    return parse(cls, text, environment, str(path))


def parse(cls: type[T], text: str, environment: Mapping[str, str], where: str) -> T:
    """Read TOML text into ``cls``; see :func:`load`."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"{where} is not TOML: {error}") from None
    _override(cls, given, environment)
    return _section(cls, given, where, "")


def section(cls: type[T], given: Mapping[str, Any], where: str) -> T:
    """Read one section into ``cls``, a frozen dataclass."""
    return _section(cls, given, where, "")


def _section(cls: type[T], given: Any, where: str, name: str) -> T:
    if not isinstance(given, Mapping):
        raise InvalidError(f"{where}: [{name}] must be a section")
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    within = f"{where}: [{name}]" if name else where
    if unknown := sorted(given.keys() - fields.keys()):
        raise InvalidError(
            f"{within} has the unknown key {unknown[0]!r}{did_you_mean(unknown[0], fields)}"
        )
    values = {}
    for key, field in fields.items():
        if key in given:
            values[key] = _value(given[key], hints[key], where, f"{name}.{key}".lstrip("."))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise InvalidError(f"{within} must have the key {key!r}")
    return cls(**values)


def _value(given: Any, hint: Any, where: str, name: str) -> Any:
    kind = Hint.of(hint).inner
    if dataclasses.is_dataclass(kind):
        return _section(cast("type[Any]", kind), given, where, name)
    return from_json(given, hint, f"{where}: {name}")


def _override(cls: type[Any], given: dict[str, Any], environment: Mapping[str, str]) -> None:
    for section_name, hint in get_type_hints(cls, include_extras=True).items():
        kind = Hint.of(hint).inner
        if not dataclasses.is_dataclass(kind):
            continue
        for key, inner in get_type_hints(kind, include_extras=True).items():
            variable = f"{ENVIRONMENT_PREFIX}{section_name}_{key}".upper()
            if variable in environment:
                there = given.setdefault(section_name, {})
                if isinstance(there, dict):  # what it is else is told with the file's errors
                    there[key] = from_text(environment[variable], inner, variable)


def render(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return sections of plain values as TOML; a None is left out."""
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        for key, value in values.items():
            if value is not None:
                lines.append(f"{key} = {_toml(value)}")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for DEL; what is escaped as two surrogates is not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
