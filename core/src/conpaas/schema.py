"""Values to and from JSON and text, judged by the type hints of the operations.

A hint may be ``Annotated[T, "help text", Check(...), msgspec.Meta(ge=1), Option("-p")]``, in any
order and any part of it.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from conpaas.errors import InvalidError

MAX_JSON_BYTES = 1 << 20  #: of a request's or an answer's JSON body
MAX_WHOLE = (1 << 63) - 1  #: more than this no database keeps


#: Marks a field of a row that a table has no room for: other formats have it, and whoever asks
#: for it by its name.
DETAIL = "conpaas.detail"


@dataclass(frozen=True)
class Check:
    """A rule that a type cannot express.

    ``complaint`` returns what is wrong with a value, in words that follow the parameter's name,
    or None; ``says`` is the rule as the reference prints it.
    """

    complaint: Callable[[Any], str | None]
    says: str


@dataclass(frozen=True)
class Option:
    """How the command line spells a parameter: a short option, a placeholder, no echo.

    A ``secret`` is typed twice, unless it is one that is ``known`` already; its value is never
    recorded with a job, so that a job that resumes must do without it.  One that may be missing
    is ``asked`` for all the same, without echo if the argument of that name is true.
    """

    short: str | None = None
    metavar: str | None = None
    secret: bool = False
    positional: bool | None = None
    known: bool = False
    asked: str = ""


@dataclass(frozen=True)
class Hint:
    """A type hint, taken apart."""

    type: Any
    help: str = ""
    option: Option = Option()
    checks: tuple[Check, ...] = ()
    full: Any = None

    @staticmethod
    def of(hint: Any) -> Hint:
        """Take ``hint`` apart."""
        bare, extras = hint, []
        if get_origin(hint) is Annotated:
            bare, *extras = get_args(hint)
        checks = [e for e in extras if isinstance(e, Check)]
        if (arm := _without_none(bare)) is not bare:
            checks += Hint.of(arm).checks
        return Hint(
            type=bare,
            help=next((e for e in extras if isinstance(e, str)), ""),
            option=next((e for e in extras if isinstance(e, Option)), Option()),
            checks=tuple(checks),
            full=hint,
        )

    @property
    def inner(self) -> Any:
        """The type without ``| None``."""
        arm = _without_none(self.type)
        return self.type if arm is self.type else Hint.of(arm).type


def from_json(value: Any, hint: Any, name: str) -> Any:
    """Return ``value``, as JSON brought it, as the type that ``hint`` asks for.

    Raises:
        InvalidError: It is of another type or against a rule; the text begins with ``name``.
    """
    return _convert(value, hint, name, strict=True)


def from_text(text: str, hint: Any, name: str) -> Any:
    """Return ``text``, as a command line or a form brought it, as the type of ``hint``.

    Raises:
        InvalidError: As :func:`from_json`.
    """
    inner = Hint.of(hint).inner
    if inner in (int, float) and not text.lstrip("+-").replace(".", "", 1).isdigit():
        raise InvalidError(f"{name}: {text[:40]!r} is not a number")
    if get_origin(inner) in (dict, list, tuple):
        return _convert(parse_json(text.encode(), name), hint, name, strict=False)
    return _convert(text, hint, name, strict=inner is str)


def _convert(value: Any, hint: Any, name: str, *, strict: bool) -> Any:
    parts = Hint.of(hint)
    if parts.type is Any:
        return value
    try:
        result = msgspec.convert(value, parts.full, strict=strict)
    except msgspec.ValidationError as error:
        told = _out_of_bounds(str(error), name, value)
        raise InvalidError(told or f"{name}: {_in_words(str(error))}") from None
    if isinstance(result, int) and abs(result) > MAX_WHOLE:
        raise InvalidError(f"{name}: the number is too large")
    if result is not None:
        for check in parts.checks:
            if complaint := check.complaint(result):
                raise InvalidError(f"{name} {complaint}")
    return result


def _without_none(hint: Any) -> Any:
    """Return ``T`` for ``T | None``, anything else as it is."""
    if get_origin(hint) in (Union, types.UnionType):
        arms = [arm for arm in get_args(hint) if arm is not type(None)]
        if len(arms) == 1:
            return arms[0]
    return hint


#: What msgspec says of a number out of its bounds, or of a text or a list that is too long.
_BOUNDS = re.compile(r"Expected `(\w+)` (of length )?([<>]=?) (\S+?)(?: - at `\$\.?(.+)`)?")
_MUST = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def _out_of_bounds(complaint: str, name: str, value: Any) -> str | None:
    """Say as a person would that a number, or the length of a text, is out of its bounds."""
    found = _BOUNDS.fullmatch(complaint)
    if found is None:
        return None
    kind, length, compared, bound, inside = found.groups()
    what = f"{name}: {inside}" if inside else name
    if length:
        thing = ("character" if kind == "str" else "element") + ("" if bound == "1" else "s")
        said = "" if inside else f", not {len(value)}"
        return f"{what} must have {_MUST[compared]} {bound} {thing}{said}"
    said = "" if inside else f", not {str(value)[:40]}"
    return f"{what} must be {_MUST[compared]} {bound}{said}"


def _in_words(complaint: str) -> str:
    complaint = complaint.replace("`", "").replace(" - at $", " at ")
    return complaint[:1].lower() + complaint[1:]


def to_json(value: Any) -> Any:
    """Return ``value`` (dataclasses, enums, dates, tuples, …) as what JSON can hold."""
    return msgspec.to_builtins(value, str_keys=True)


def json_schema(hint: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON schema of a hint, and the schemas of the dataclasses that it names."""
    if hint is Any:
        return {}, {}
    (schema,), components = msgspec.json.schema_components(
        [hint], ref_template="#/components/schemas/{name}"
    )
    return schema, components


def parse_json(body: bytes, what: str = "the request's body") -> Any:
    """Return what JSON text holds, with nothing dropped in silence.

    Raises:
        InvalidError: It is no JSON, is nested too deeply, says a key twice, or holds a number
            that is none (NaN, Infinity) or too large to be kept (over 64 bits).
    """
    if not body.strip():
        return {}
    try:
        return json.loads(
            body.decode(),  # by itself it would take UTF-16 too
            object_pairs_hook=lambda pairs: _unique(pairs, what),
            parse_constant=_no_number,
            parse_int=_whole_number,
            parse_float=_number,
        )
    except RecursionError:
        raise InvalidError(f"{what} is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidError(f"{what} is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidError(f"{what} says {key[:40]!r} twice")
        found[key] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _whole_number(text: str) -> int:
    if len(text) > 20 or not -MAX_WHOLE <= int(text) <= MAX_WHOLE:
        raise ValueError(f"{text[:20]} is too large a number")
    return int(text)


def _number(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return value
