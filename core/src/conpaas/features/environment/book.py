"""What users have set, and the change that is under way, in the store of the service."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from conpaas.errors import ConPaaSError

_KEY = "environment"


@dataclass(frozen=True)
class Variable:
    """A value that a user has set; what is ``secret`` is never shown again."""

    value: str
    secret: bool


@dataclass(frozen=True)
class Change:
    """A change under way, or the last one if it failed.

    Args:
        name: Of the variable.
        variable: What it shall be, None for nothing.
        tell: Whether the nodes must be told.
        failed: The error by which it failed, as JSON; then the variable is forgotten.
    """

    name: str
    variable: Variable | None
    tell: bool
    failed: dict[str, Any] | None = None


class EnvironmentBook:
    """Keeps a change apart from what holds, until the nodes have taken it.

    It is not among the arguments of its job, because their record is shown to people.

    Args:
        store: Of the service; every change is one write.
    """

    def __init__(self, store: MutableMapping[str, Any]) -> None:
        self._store = store

    @property
    def own(self) -> dict[str, Variable]:
        """What users have set, by name."""
        return {name: Variable(**one) for name, one in self._kept["own"].items()}

    @property
    def change(self) -> Change | None:
        """The change under way, or the last one if it failed or was cancelled, else None."""
        found = self._kept["change"]
        if found is None:
            return None
        variable = found["variable"]
        return Change(**{**found, "variable": None if variable is None else Variable(**variable)})

    def changed(self) -> dict[str, Variable]:
        """Return what users will have set once the change is made."""
        own, change = self.own, self.change
        if change is not None and change.failed is None:
            own.pop(change.name, None)
            if change.variable is not None:
                own[change.name] = change.variable
        return own

    def begin(self, change: Change) -> None:
        """Note a change, in the place of any before."""
        self._store[_KEY] = {**self._kept, "change": asdict(change)}

    def commit(self) -> None:
        """Note that the change is made."""
        own = {name: asdict(one) for name, one in self.changed().items()}
        self._store[_KEY] = {"own": own, "change": None}

    def fail(self, change: Change, error: ConPaaSError) -> Change:
        """Note that the change has failed, and why; its value is forgotten."""
        failed = replace(change, variable=None, failed=error.to_json())
        self.begin(failed)
        return failed

    @property
    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = self._store.get(_KEY, {"own": {}, "change": None})
        return kept
