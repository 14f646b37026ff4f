"""The field of a form that an operation's parameter needs, derived from its type hint."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from conpaas.errors import InvalidError
from conpaas.frontend.looks import in_words
from conpaas.rpc import Parameter, PerRole, Upload
from conpaas.schema import Hint, from_json, from_text, parse_json
from conpaas.service_type import Role

#: Texts that may be longer than this get more than one line.
ONE_LINE = 300
_YES_OR_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class Choice:
    """One answer that can be chosen."""

    value: str
    label: str


@dataclass
class Field:
    """A parameter as a form shows it.

    ``kind`` is text, long, number, decimal, secret, choice, switch, lines, json, count, or file.
    """

    name: str
    label: str
    kind: str
    help: str = ""
    required: bool = False
    value: str = ""
    choices: tuple[Choice, ...] = ()
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    error: str = ""
    autocomplete: str = "off"
    placeholder: str = ""
    #: What it says was there before the form: emptying it means something then.
    was_filled: bool = False
    hidden: bool = False
    #: Where a page has several forms: which one, so that fields of one name differ.
    form: str = ""

    @property
    def id(self) -> str:
        """Of the element, for labels and messages."""
        return "-".join(p for p in ("field", self.form, self.name.replace(".", "-")) if p)


@dataclass(frozen=True)
class Derived:
    """The fields of one parameter, and how their texts become its value."""

    parameter: Parameter
    fields: tuple[Field, ...]
    item: Any = field(default=None)  #: the type of each line, for a field of kind lines

    def read(self, given: Mapping[str, str]) -> Any:
        """Return the parameter's value, or ``...`` when nothing was given.

        Raises:
            InvalidError: What was given is wrong.
        """
        first = self.fields[0] if self.fields else None
        if first is None:
            return ...
        if first.kind == "count":
            return self._counts(given)
        text = given.get(first.name, "")
        if first.kind == "switch":
            return text != ""
        if any(given.get(again.name, text) != text for again in self.fields[1:]):
            raise InvalidError(f"{first.label}: the two are not the same")
        # A password's blanks are its own.
        if first.kind not in ("secret", "long"):
            text = text.strip()
        emptied = first.was_filled and (self.parameter.hint.inner is str or first.kind == "lines")
        if text == "" and not emptied:
            if self.parameter.required:
                raise InvalidError(f"{first.label}: this is needed")
            return ...
        name, hint = self.parameter.name, self.parameter.hint.full
        if first.kind == "lines":
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return [from_text(line, self.item, name) for line in lines]
        if first.kind == "json":
            return from_json(parse_json(text.encode(), name), hint, name)
        if self.parameter.hint.inner is bool:
            return from_json(_YES_OR_NO.get(text, text), hint, name)
        return from_text(text.replace("\r\n", "\n"), hint, name)

    def _counts(self, given: Mapping[str, str]) -> dict[str, int]:
        counts = {}
        for one in self.fields:
            role = one.name.partition(".")[2]
            number = from_text(given.get(one.name, "").strip() or "0", int, role)
            if number:
                counts[role] = number
        return counts


def derive(
    parameter: Parameter,
    roles: Sequence[Role] = (),
    choices: Mapping[str, Sequence[Choice]] | None = None,
    value: Any = ...,
    *,
    twice: bool = False,
) -> Derived:
    """Return the fields of a parameter.

    Args:
        parameter: Of an operation.
        roles: What counts of nodes may be given for.
        choices: What can be chosen for a parameter of that name, where it is known.
        value: What the field begins with; default: the parameter's own default.
        twice: There are two fields for a new secret, since nobody sees what is typed.
    """
    extras = get_args(parameter.hint.full)[1:]
    per_role = next((e for e in extras if isinstance(e, PerRole)), None)
    if per_role is not None:
        counts = value if isinstance(value, Mapping) else {}
        return Derived(parameter, _count_fields(parameter, per_role, roles, counts))
    hint = parameter.hint.inner
    kind, item, offered = _kind(hint)
    if parameter.hint.option.secret:
        kind = "secret"
    if known := (choices or {}).get(parameter.name):
        kind, offered = "choice", tuple(known)
    if kind == "switch" and (parameter.required or parameter.default is None):
        kind, offered = "choice", (Choice("yes", "yes"), Choice("no", "no"))
    meta = _meta(parameter.hint)
    longest = _limit(meta, "max_length")
    if kind == "text" and longest is not None and longest > ONE_LINE:
        kind = "long"
    start = parameter.default if value is ... else value
    if (
        kind == "choice"
        and not parameter.required
        and _text(start, parameter, kind) not in [choice.value for choice in offered]
    ):
        offered = (Choice("", _default_label(parameter)), *offered)
    one = Field(
        name=parameter.name,
        label=in_words(parameter.name),
        kind=kind,
        help=parameter.hint.help,
        required=parameter.required,
        value="" if kind in ("secret", "file") else _text(start, parameter, kind),
        choices=offered,
        least=_bound(meta, "ge", "gt"),
        most=_bound(meta, "le", "lt"),
        longest=int(longest) if longest is not None else None,
        autocomplete=_autocomplete(parameter.name, kind),
        was_filled=value not in (..., None, ""),
    )
    option = parameter.hint.option
    if twice and kind == "secret" and not option.known and not option.asked:
        label, name = f"{one.label} again", f"{one.name}.again"
        return Derived(parameter, (one, replace(one, name=name, label=label, help="")), item)
    return Derived(parameter, (one,), item)


def _kind(hint: Any) -> tuple[str, Any, tuple[Choice, ...]]:
    origin = get_origin(hint)
    plain = {bool: "switch", str: "text", int: "number", float: "decimal", Upload: "file"}
    if isinstance(hint, type) and hint in plain:
        return plain[hint], None, ()
    if origin is Literal:
        return "choice", None, tuple(Choice(str(v), str(v)) for v in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "choice", None, tuple(Choice(str(m.value), str(m.value)) for m in hint)
    if origin in (Union, types.UnionType):
        return "text", None, ()  # a name or an id
    if origin in (list, set, frozenset) or (origin is tuple and get_args(hint)[-1] is ...):
        item = get_args(hint)[0]
        if _kind(Hint.of(item).inner)[0] in ("text", "number", "decimal", "choice"):
            return "lines", item, ()
    if origin in (dict, tuple, list) or dataclasses.is_dataclass(hint) or hint is Any:
        return "json", None, ()
    return "text", None, ()


def _count_fields(
    parameter: Parameter, per_role: PerRole, roles: Sequence[Role], counts: Mapping[str, Any]
) -> tuple[Field, ...]:
    return tuple(
        Field(
            name=f"{parameter.name}.{role.name}",
            label=in_words(role.name),
            kind="count",
            help=role.summary or per_role.help.format(role=role.name),
            value=str(counts.get(role.name, 0)),
            least=0,
        )
        for role in roles
        if not role.fixed
    )


def _text(value: Any, parameter: Parameter, kind: str) -> str:
    if value is None or (parameter.required and value is parameter.default):
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        if kind == "choice":
            return "yes" if value else "no"
        return "on" if value else ""
    if kind == "lines" and not isinstance(value, str):
        return "\n".join(str(item) for item in value)
    if isinstance(value, str):
        return value
    if value in ((), [], {}):
        return ""
    return json.dumps(value, default=str, ensure_ascii=False)


def _default_label(parameter: Parameter) -> str:
    default = parameter.default
    if isinstance(default, bool):
        return f"default: {'yes' if default else 'no'}"
    return f"default: {default}" if default not in (None, "") else "default"


def _autocomplete(name: str, kind: str) -> str:
    if kind == "secret":
        return "current-password" if "current" in name else "new-password"
    return {"email": "email", "fname": "given-name", "lname": "family-name"}.get(name, "off")


def _meta(hint: Hint) -> list[msgspec.Meta]:
    found = [e for e in get_args(hint.full)[1:] if isinstance(e, msgspec.Meta)]
    # Of ``Annotated[T, Meta] | None`` and what such a name is annotated with again.
    for arm in get_args(hint.type) if get_origin(hint.type) in (Union, types.UnionType) else ():
        found += [e for e in get_args(arm)[1:] if isinstance(e, msgspec.Meta)]
    return found


def _limit(meta: Sequence[msgspec.Meta], name: str) -> float | None:
    return next((v for one in meta if (v := getattr(one, name)) is not None), None)


def _bound(meta: Sequence[msgspec.Meta], inclusive: str, exclusive: str) -> float | None:
    found = _limit(meta, inclusive)
    if found is not None:
        return found
    beyond = _limit(meta, exclusive)
    if beyond is None:
        return None
    return beyond + (1 if exclusive == "gt" else -1)
