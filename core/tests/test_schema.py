"""Values to and from JSON and text, judged by type hints."""

import datetime as dt
import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas.errors import InvalidError
from conpaas.schema import (
    Check,
    Hint,
    Option,
    from_json,
    from_text,
    json_schema,
    parse_json,
    to_json,
)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5
    names: tuple[str, ...] = ()


Even = Annotated[int, "A number", Check(lambda n: "must be even" if n % 2 else None, "even")]

FITTING = [
    (3, int, 3),
    (3, float, 3.0),
    (2.5, float, 2.5),
    ("x", str, "x"),
    (True, bool, True),
    (None, int | None, None),
    (3, int | None, 3),
    ("a", str | int, "a"),
    (7, str | int, 7),
    ("red", Colour, Colour.RED),
    ([1, 2], list[int], [1, 2]),
    (["a"], tuple[str, ...], ("a",)),
    ({"a": 1}, dict[str, int], {"a": 1}),
    ({"x": 1, "names": ["n"]}, Point, Point(1, names=("n",))),
    ([{"x": 1}], list[Point], [Point(1)]),
    ({"any": ["thing"]}, Any, {"any": ["thing"]}),
    (None, type(None), None),
    (4, Even, 4),
    (5, Annotated[int, msgspec.Meta(ge=1, le=5)], 5),
    ("2026-01-02", dt.date, dt.date(2026, 1, 2)),
]


@pytest.mark.parametrize(("value", "hint", "expected"), FITTING)
def test_a_value_becomes_what_its_hint_says_and_goes_back(value, hint, expected):
    got = from_json(value, hint, "it")
    assert got == expected and type(got) is type(expected)
    assert from_json(json.loads(json.dumps(to_json(got))), hint, "it") == expected


UNFITTING = [
    ("3", int),
    (3.5, int),
    (True, int),
    (3, str),
    (None, str),
    ("true", bool),
    (1, bool),
    ("1e3", float),
    ("green", Colour),
    ([1, "2"], list[int]),
    ("ab", tuple[str, ...]),
    ([], dict[str, int]),
    ({"a": "1"}, dict[str, int]),
    ({}, Point),
    ({"x": "1"}, Point),
    (3, Even),
    (0, Annotated[int, msgspec.Meta(ge=1)]),
    (1, type(None)),
    (2**63, int),
    (-(2**63) - 1, str | int),
]


@pytest.mark.parametrize(("value", "hint"), UNFITTING)
def test_a_value_that_does_not_fit_is_refused_by_name(value, hint):
    with pytest.raises(InvalidError, match=r"^count"):
        from_json(value, hint, "count")


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        ("2.5", float, 2.5),
        ("3", float, 3.0),
        ("true", bool, True),
        ("false", bool, False),
        ("3", str, "3"),
        ("null", str, "null"),
        ("", str, ""),
        ("red", Colour, Colour.RED),
        ("3", int | None, 3),
        ("[1, 2]", list[int], [1, 2]),
        ('["a"]', tuple[str, ...], ("a",)),
        ('{"web": 2}', dict[str, int], {"web": 2}),
        ("4", Even, 4),
    ],
)
def test_text_becomes_what_its_hint_says(text, hint, expected):
    got = from_text(text, hint, "it")
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1e3",
        "NaN",
        "Infinity",
        "0x10",
        "1_000",
        "1,5",
        "--1",
        "²",
        "٣",
        "1.5",
        "x",
        "9" * 19,
    ],
)
def test_text_that_is_no_whole_number_is_refused_where_one_is_wanted(text):
    with pytest.raises(InvalidError, match=r"^count"):
        from_text(text, int, "count")


@pytest.mark.parametrize("text", ["1e3", "nan", "inf", "1_0.5", ".", "1.2.3"])
def test_text_that_is_no_plain_number_is_refused(text):
    with pytest.raises(InvalidError, match=r"^share"):
        from_text(text, float, "share")


@pytest.mark.parametrize("text", ["[1", "x", '{"a": 1, "a": 2}', "[NaN]"])
def test_text_that_is_no_json_is_refused_where_a_list_is_wanted(text):
    with pytest.raises(InvalidError, match=r"^roles"):
        from_text(text, list[int], "roles")


@given(st.text())
def test_text_goes_through_unchanged_where_text_is_wanted(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert from_text(text, str, "it") == text


@dataclass
class Bounded:
    number: Annotated[int, msgspec.Meta(ge=0)] = 0
    word: Annotated[str, msgspec.Meta(max_length=2)] = ""


@pytest.mark.parametrize(
    ("value", "hint", "told"),
    [
        (0, Annotated[Annotated[int, msgspec.Meta(ge=1, le=9)] | None, "x"], "at least 1, not 0"),
        (10, Annotated[int, msgspec.Meta(ge=1, le=9)], "at most 9, not 10"),
        (1.0, Annotated[float, msgspec.Meta(gt=0, lt=1)], "less than 1.0, not 1.0"),
        (0.0, Annotated[float, msgspec.Meta(gt=0)], "more than 0.0, not 0.0"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused_in_plain_words(value, hint, told):
    for convert in (
        lambda: from_json(value, hint, "keep"),
        lambda: from_text(str(value), hint, "keep"),
    ):
        with pytest.raises(InvalidError) as refused:
            convert()
        assert str(refused.value) == f"keep must be {told}"


@pytest.mark.parametrize(
    ("value", "hint", "told"),
    [
        (
            "abc",
            Annotated[str, msgspec.Meta(max_length=2)],
            "x must have at most 2 characters, not 3",
        ),
        (
            "",
            Annotated[str, msgspec.Meta(min_length=1)],
            "x must have at least 1 character, not 0",
        ),
        (
            [1, 2],
            Annotated[list[int], msgspec.Meta(max_length=1)],
            "x must have at most 1 element, not 2",
        ),
        ({"number": -1}, Bounded, "x: number must be at least 0"),
        ({"word": "abc"}, Bounded, "x: word must have at most 2 characters"),
    ],
)
def test_what_is_too_long_or_has_a_part_out_of_bounds_is_refused_in_plain_words(value, hint, told):
    with pytest.raises(InvalidError) as refused:
        from_json(value, hint, "x")
    assert str(refused.value) == told


def test_a_check_says_what_is_wrong_after_the_name():
    with pytest.raises(InvalidError, match=r"^count must be even$"):
        from_json(3, Even, "count")


def test_a_check_does_not_judge_what_is_not_given():
    assert from_json(None, Annotated[int | None, *Hint.of(Even).checks], "count") is None


def test_a_hint_is_taken_apart_in_any_order():
    check = Check(lambda value: None, "fine")
    for extras in [("Help", Option("-x"), check), (check, Option("-x"), "Help")]:
        parts = Hint.of(Annotated[int | None, *extras])
        assert (parts.help, parts.option.short, parts.checks) == ("Help", "-x", (check,))
        assert parts.inner is int


def test_a_schema_names_its_dataclasses():
    schema, components = json_schema(list[Point])
    assert schema["items"]["$ref"] == "#/components/schemas/Point"
    assert components["Point"]["required"] == ["x"]


# -- JSON ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_json_means_what_it_always_means(value):
    assert parse_json(json.dumps(value).encode()) == value


def test_an_empty_body_is_an_empty_object():
    assert parse_json(b"") == parse_json(b" \n") == {}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a": 1, "a": 2}', "says 'a' twice"),
        (b'[{"deep": {"a": 1, "b": 2, "a": 3}}]', "says 'a' twice"),
        (b"NaN", "NaN is not a number"),
        (b"[Infinity]", "Infinity is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"[1e999]", "1e999"),
        (b"{", "is not JSON"),
        (b"{'a': 1}", "is not JSON"),
        (b"[1] x", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b'"\xff"', "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"1" * 5000, "is not JSON|too large"),
        (str(2**63).encode(), "too large"),
        (str(-(2**63) - 1).encode(), "too large"),
        (b"[1" + b"0" * 30 + b"]", "too large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_json_that_would_lose_something_is_refused(body, told):
    with pytest.raises(InvalidError, match=told):
        parse_json(body)


@given(st.binary())
def test_any_bytes_are_json_or_refused(body):
    try:
        parse_json(body)
    except InvalidError as error:
        assert error.message.startswith("the request's body")


def test_a_whole_number_may_be_written_with_an_exponent_only_where_a_share_is_wanted():
    assert from_json(parse_json(b"1e3"), float, "share") == 1000.0
    with pytest.raises(InvalidError, match=r"^count"):
        from_json(parse_json(b"1e3"), int, "count")
