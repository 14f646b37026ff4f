"""How types, values and sentences of the code are spelled on a page."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin


def spell(hint: Any) -> str:
    """Return a type as the pages show it."""
    return f"`{type_name(hint)}`".replace("|", "\\|")


def type_name(hint: Any) -> str:
    """Return how a type is called, as plain text."""
    if get_origin(hint) is Annotated:
        return type_name(get_args(hint)[0])
    if hint in (None, type(None)):
        return "None"
    if hint is ...:
        return "..."
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    if origin is Literal:
        return " | ".join(repr(argument) for argument in arguments)
    if origin is not None:
        name = {collections.abc.Mapping: "dict"}.get(origin, origin.__name__)
        return f"{name}[{', '.join(type_name(argument) for argument in arguments)}]"
    return str(getattr(hint, "__name__", hint))


def shown(value: Any) -> str:
    """Return a default as the pages show it."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if dataclasses.is_dataclass(value):
        parts = (f"{f.name} {getattr(value, f.name)}" for f in dataclasses.fields(value))
        return ", ".join(part for part in parts if not part.endswith(" 0"))
    return repr(list(value) if isinstance(value, tuple) else value).replace("'", '"')


def summary(cls: Any) -> str:
    """Return the first sentence of a docstring."""
    return prose(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0])


def prose(text: str) -> str:
    """Return a docstring's markup as Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def cell(text: str) -> str:
    """Return a text as it may stand in a table."""
    return prose(re.sub(r"\s+", " ", text)).replace("|", "\\|").strip()
