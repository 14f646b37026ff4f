"""The manager's part of environment variables: the users' own, and what other services publish."""

from __future__ import annotations

import abc
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, TypeVar

from conpaas import variables
from conpaas.agent.base import ServiceAgent
from conpaas.errors import ConPaaSError, InvalidError, NotFoundError
from conpaas.features.environment.book import Change, EnvironmentBook, Variable
from conpaas.manager.base import ServiceManager
from conpaas.manager.handlers import handled
from conpaas.manager.place import ManagerPlace
from conpaas.nearest import did_you_mean
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.schema import Option
from conpaas.state import State

A = TypeVar("A", bound=ServiceAgent)

YOURS = "yours"  #: the source of a variable that a user has set
SECRET = "(secret)"  # noqa: S105 - what stands in the place of each
#: Characters: what is shorter stands in every other word, and nobody could read the text.
_SHORTEST_SECRET = 4
_SETTABLE = (State.INIT, State.STOPPED, State.RUNNING, State.ERROR)
_TOLD = "environment told"  #: key of the store: a digest of what the nodes have

VariableName = Annotated[str, "Name of the variable"]


@dataclass(frozen=True)
class VariableInfo:
    """A row of ``list_env``; ``source`` is ``yours``, or the service that publishes it."""

    name: str
    value: str
    source: str


class EnvironmentManager(ServiceManager[A]):
    """Directs the nodes of a service whose code reads environment variables.

    Given to users:
        ``set_env``, ``unset_env``, ``list_env``.

    Must define:
        ``put_environment()``: have all nodes run the code with ``self.environment``; idempotent.

    May override:
        ``check_variable(name)``: raise when the nodes' software takes a name for something else.

    Given to you:
        ``self.environment`` (all variables: read it once, hand it to the nodes),
        ``self.note_environment(values)`` (all nodes have these: call it after you told them in
        ``on_start`` too, or they are told once more), ``self.without_secrets(text)``.

    Whoever overrides ``is_outdated`` or ``on_outdated`` calls super: by them the nodes learn what
    other services publish.
    """

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self._variable_book = EnvironmentBook(self.store)
        self._telling_changed = False

    @abc.abstractmethod
    def put_environment(self) -> Job[None]:
        """Have all nodes run the code with the present :attr:`environment`."""

    def check_variable(self, name: str) -> None:
        """Raise when no variable may have this name, beside those that never may.

        What another service publishes under such a name is left out.
        """

    # -- given to users -----------------------------------------------------------------------

    @expose(
        states=_SETTABLE, meanwhile=State.ADAPTING, resumes=True, done="Variable '{name}' set."
    )
    def set_env(
        self,
        name: VariableName,
        value: Annotated[
            str | None,
            "Its value; it is asked for when it is missing",
            Option(secret=True, positional=True, asked="secret"),
        ] = None,
        secret: Annotated[bool, "Never show the value again"] = False,
    ) -> Job[None]:
        """Set an environment variable that the code sees.

        When the service runs, its nodes are told at once; if that fails, the variable stays as it
        was.  It wins over a value of that name that another service publishes.
        """
        if not self.place.resuming:
            variables.check_name(name)
            self.check_variable(name)
            if value is None:
                raise InvalidError(f"value is missing: what shall {name} be?")
            variables.check_value(name, value)
            self._begin_change(name, Variable(value, secret))
        yield Progress(0, f"setting {name}")
        yield from self._carry_out_change()

    @expose(
        states=_SETTABLE, meanwhile=State.ADAPTING, resumes=True, done="Variable '{name}' removed."
    )
    def unset_env(self, name: VariableName) -> Job[None]:
        """Remove an environment variable that was set; what a service publishes shows again."""
        if not self.place.resuming:
            self._require_variable(name)
            self._begin_change(name, None)
        yield Progress(0, f"removing {name}")
        yield from self._carry_out_change()

    @expose(reads=True)
    def list_env(self) -> list[VariableInfo]:
        """List the environment variables that the code sees, and where each comes from."""
        rows = [
            VariableInfo(name, SECRET if one.secret else one.value, YOURS)
            for name, one in self._variable_book.own.items()
        ]
        names = {row.name for row in rows}
        published = self._published_variables()
        services = self.place.service_names() if published else {}
        for number in sorted(published, reverse=True):
            told = f"service {number} ({services.get(number, 'removed')})"
            new = [name for name in published[number] if name not in names]
            rows += [VariableInfo(name, published[number][name], told) for name in new]
            names.update(new)
        return sorted(rows, key=lambda row: row.name)

    # -- given to the service -----------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the nodes' code shall see, sorted by name."""
        own = {name: one.value for name, one in self._wanted_variables().items()}
        published = self._published_variables()
        others = {name: value for n in sorted(published) for name, value in published[n].items()}
        return dict(sorted({**others, **own}.items()))

    def note_environment(self, values: dict[str, str]) -> None:
        """Note that all nodes have these variables."""
        digest = _digest(values)
        if self.store.get(_TOLD) != digest:
            self.store[_TOLD] = digest

    def without_secrets(self, text: str) -> str:
        """Return a text, such as a program's complaint, with no secret value in it."""
        secrets = [one.value for one in self._variable_book.own.values() if one.secret]
        secrets += [one.value for one in self._variable_book.changed().values() if one.secret]
        parts = {part for value in secrets for part in (value, *value.splitlines())}
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= _SHORTEST_SECRET:
                text = text.replace(part, SECRET)
        return text

    def is_outdated(self) -> bool:
        """Whether the nodes were told other variables."""
        return super().is_outdated() or self.store.get(_TOLD) != _digest(self.environment)

    def on_outdated(self) -> Job[None]:
        """Tell the nodes."""
        yield from handled(super().on_outdated(), 0, 30)
        yield from scaled(self._tell_environment(), 30, 100)

    # -- how it is done -----------------------------------------------------------------------

    def _published_variables(self) -> dict[int, dict[str, str]]:
        """Return what the other services publish for us, by their number."""
        return {
            number: {name: value for name, value in values.items() if self._may_be(name)}
            for number, values in self.place.published().items()
        }

    def _may_be(self, name: str) -> bool:
        try:
            self.check_variable(name)
        except InvalidError:
            return False
        return True

    def _wanted_variables(self) -> dict[str, Variable]:
        """Return what users have set, with the change that the nodes are being told."""
        return self._variable_book.changed() if self._telling_changed else self._variable_book.own

    def _require_variable(self, name: str) -> None:
        own = self._variable_book.own
        if name in own:
            return
        variables.check_name(name)
        if name in self.published():
            raise NotFoundError(
                f"you have not set {name}: another service publishes it; set_env puts a value of "
                "your own in its place"
            )
        raise NotFoundError(f"there is no variable {name}{did_you_mean(name, own)}")

    def _begin_change(self, name: str, variable: Variable | None) -> None:
        if variable is not None:
            own = {**self._variable_book.own, name: variable}
            variables.check_all({name: one.value for name, one in own.items()})
        self._variable_book.begin(Change(name, variable, tell=self.state is State.RUNNING))

    def _carry_out_change(self) -> Job[None]:
        change = self._variable_book.change
        if change is None:
            return  # it was made, before a crash
        if change.tell and change.failed is None:
            try:
                yield from scaled(self._tell_changed_environment(), 0, 90)
            except Exception as error:
                change = self._variable_book.fail(change, self._cleaned(error))
        if change.failed is None:
            self._variable_book.commit()
            return
        why = ConPaaSError.from_json(change.failed)
        yield Progress(90, f"going back, because: {why}")
        try:
            yield from scaled(self._tell_environment(), 90, 100)
        except Exception as another:
            # The first failure is what the user must hear of; the watch tries this again.
            self.log.error("going back failed: %s", self._cleaned(another))
        raise why

    def _tell_changed_environment(self) -> Job[None]:
        self._telling_changed = True
        try:
            yield from self._tell_environment()
        finally:
            self._telling_changed = False

    def _tell_environment(self) -> Job[None]:
        values = self.environment
        yield from self.put_environment()
        self.note_environment(values)

    def _cleaned(self, error: Exception) -> ConPaaSError:
        """Return an error with no secret in it: programs quote their settings."""
        if isinstance(error, ConPaaSError):
            clean = self.without_secrets(error.message)
            return ConPaaSError.from_json({"code": error.code, "message": clean})
        told = self.without_secrets(f"{type(error).__name__}: {error}")
        self.log.error("telling the nodes their variables broke: %s", told)
        return ConPaaSError(f"internal error: {told}")


def _digest(values: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
