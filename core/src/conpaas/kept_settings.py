"""How a service keeps its settings in its store: what differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

T = TypeVar("T")


def from_store(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return the settings that a store holds; what it does not is as it is by default.

    Args:
        kind: A dataclass whose fields all have defaults.
        values: What :func:`to_store` returned; names that are no settings any more are left out.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type] # a dataclass
    return kind(**{name: value for name, value in values.items() if name in known})


def to_store(settings: Any) -> dict[str, Any]:
    """Return what differs from the defaults: those may be others one day."""
    default = asdict(type(settings)())
    return {name: value for name, value in asdict(settings).items() if value != default[name]}
