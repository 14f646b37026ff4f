"""The form of an operation: shown, read, and shown again with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from conpaas.errors import ConPaaSError, InvalidError
from conpaas.frontend.fields import Choice, Derived, Field, derive
from conpaas.frontend.looks import in_words
from conpaas.frontend.posted import Posted
from conpaas.rpc import Operation
from conpaas.schema import to_json
from conpaas.service_type import Role

#: Operations whose names begin so lose data: the name of what goes must be typed.
LOSES = ("delete", "remove")
CONFIRM_FIELD = "confirm-name"
BACK_FIELD = "back"


@dataclass
class Form:
    """A form, as a page shows it.

    Args:
        operation: What it asks for.
        action: Where it is sent.
        fields: In order, a file last: what stands before it is known when it comes.
        title: Of the form's own page.
        submit: What its button says.
        must_type: What must be typed before something is lost; empty when nothing is.
        back: The page to go on with; within this site.
        mark: Tells it from other forms of the same page.
    """

    operation: Operation
    action: str
    derived: tuple[Derived, ...]
    title: str
    submit: str
    must_type: str = ""
    typed: str = ""
    back: str = ""
    mark: str = ""
    errors: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fields(self) -> list[Field]:
        """All fields, a file last."""
        found = [one for derived in self.derived for one in derived.fields]
        return sorted(found, key=lambda one: one.kind == "file")

    @property
    def confirm_id(self) -> str:
        """Of the element in which the name of what is lost is typed."""
        return f"field-{self.mark}-confirm-name" if self.mark else "field-confirm-name"

    @property
    def has_file(self) -> bool:
        """Whether a file goes with it."""
        return self.operation.upload is not None

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to fill in: a button is enough."""
        return not [one for one in self.fields if not one.hidden]

    @property
    def is_dangerous(self) -> bool:
        """Whether something is lost."""
        return bool(self.operation.confirm)

    def fill(self, posted: Posted) -> None:
        """Show what was typed, but for secrets and files."""
        for one in self.fields:
            if one.kind not in ("secret", "file"):
                one.value = posted.text(one.name)
        self.typed = posted.text(CONFIRM_FIELD)

    def arguments(self, posted: Posted) -> dict[str, Any]:
        """Return what was typed as the operation's arguments, in JSON's terms; a file is left out.

        Raises:
            InvalidError: Something is wrong: :attr:`errors` has all of it.
        """
        found: dict[str, Any] = {}
        self.errors = []
        sent = [one.name for one in self.fields if one.name in posted.texts]
        texts = {name: posted.text(name) for name in sent}
        for derived in self.derived:
            parameter = derived.parameter
            if parameter.is_upload:
                if parameter.required and posted.upload is None:
                    self._note(derived.fields[0], "choose a file")
                continue
            try:
                value = derived.read(texts)
            except InvalidError as error:
                self._note(derived.fields[0], error.message)
                continue
            if value is not ...:
                found[parameter.name] = to_json(value)
        if self.must_type and posted.text(CONFIRM_FIELD).strip() != self.must_type:
            self.errors.append((self.confirm_id, f"type {self.must_type!r} to say that it may go"))
        if self.errors:
            raise InvalidError("; ".join(text for _, text in self.errors))
        return found

    def blame(self, error: ConPaaSError) -> None:
        """Show an error that the call ended with, at the field that it is about if it says so."""
        if self.errors:
            return
        about, _, _ = error.message.partition(" ")
        for derived in self.derived:
            names = (derived.parameter.name, f"{derived.parameter.name}:")
            if about in names and derived.fields:
                self._note(derived.fields[0], error.message)
                return
        self.errors = [("", error.message)]

    def _note(self, one: Field, message: str) -> None:
        label, name = one.label, one.name.partition(".")[0]
        for prefix in (f"{name}: ", f"{name} ", f"{label}: "):
            if message.startswith(prefix):
                message = message[len(prefix) :]
                break
        one.error = message
        self.errors.append((one.id, f"{label}: {message}"))


def operation_form(
    operation: Operation,
    action: str,
    *,
    preset: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    choices: Mapping[str, Sequence[Choice]] | None = None,
    roles: Sequence[Role] = (),
    must_type: str = "",
    back: str = "",
    title: str = "",
    submit: str = "",
    mark: str = "",
    twice: bool = False,
) -> Form:
    """Derive the form of an operation.

    Args:
        operation: What is asked for.
        action: Where the form is sent.
        preset: Parameters that the address says already: no fields.
        values: What fields begin with, by parameter; of a query's texts too.
        choices: What can be chosen for a parameter.
        roles: What counts of nodes may be given for.
        must_type: The name of what is lost; taken when the operation loses something.
        back: Where to go on.
        title: Default: the operation's name in words.
        submit: Default: the title.
        mark: Tells it from other forms of the same page.
        twice: A new secret is typed twice, as at a terminal.
    """
    values = values or {}
    derived = tuple(
        derive(p, roles, choices, values.get(p.name, ...), twice=twice)
        for p in operation.parameters
        if p.name not in preset
    )
    must_type = _must_type(operation, derived, values, must_type)
    for one in derived:
        for each in one.fields:
            each.form = mark
    title = title or in_words(operation.name)
    return Form(
        operation=operation,
        action=action,
        derived=derived,
        title=title,
        submit=submit or title,
        must_type=must_type,
        back=back,
        mark=mark,
    )


def _must_type(
    operation: Operation, derived: Sequence[Derived], values: Mapping[str, Any], owner: str
) -> str:
    """Return the name to type: of what the link names, or else of what the form belongs to."""
    if not (operation.confirm and operation.name.startswith(LOSES)):
        return ""
    needed = [d for d in derived if d.parameter.required and d.fields]
    for one in needed:
        if one.parameter.name not in values:
            return ""  # it is typed into its own field
        one.fields[0].hidden = True
    return str(values[needed[0].parameter.name]) if needed else owner


def link(path: str, **query: str) -> str:
    """Return an address with a query."""
    return f"{path}?{urlencode(query)}" if query else path
