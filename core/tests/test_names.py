"""What people may call their things."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas.errors import InvalidError
from conpaas.names import MAX_NAME, Name, Username
from conpaas.schema import from_json

BAD = {
    "nothing": "",
    "256 characters": "x" * 256,
    "one too many": "x" * (MAX_NAME + 1),
    "a path": "../x",
    "a slash": "a/b",
    "a newline": "a\nb",
    "a final newline": "a\n",
    "NUL": "a\0b",
    "right to left override": "a\u202eb",
    "emoji": "a😀",
    "an option": "-rf",
    "a substitution": "$(id)",
    "SQL": "x'; DROP TABLE application; --",
    "HTML": "<script>alert(1)</script>",
    "a blank before": " a",
    "a blank after": "a ",
    "two blanks": "a  b",
    "a number": "42",
    "other digits": "٤٢",
    "a combining mark first": "\u0301a",
    "a lone surrogate": "a\ud800",
    "a no-break space": "a\u00a0b",
    "a zero-width joiner": "a\u200db",
}


@pytest.mark.parametrize("name", BAD.values(), ids=BAD.keys())
def test_a_name_that_would_cause_trouble_is_refused(name):
    with pytest.raises(InvalidError, match=r"^name "):
        from_json(name, Name, "name")


@pytest.mark.parametrize(
    "name",
    ["First app", "a", "x" * MAX_NAME, "Größe", "日本語", "शब्द", "v1.2 (test)", "a_b-c", "4U"],
)
def test_a_name_that_people_give_is_taken(name):
    assert from_json(name, Name, "name") == name


@given(st.text(max_size=MAX_NAME + 3))
def test_whatever_is_taken_is_printable_short_and_no_number(name):
    try:
        from_json(name, Name, "name")
    except InvalidError as error:
        # The complaint itself can be shown anywhere.
        assert error.message.isprintable()
    else:
        assert 1 <= len(name) <= MAX_NAME
        assert name.isprintable() and name.strip() == name
        assert not name.isdigit()
        assert not set(name) & set("/\\'\"<>$`;|*?!")
        assert unicodedata.category(name[0])[0] in "LN"


@pytest.mark.parametrize("name", [None, 1, 1.5, True, ["a"], {"a": 1}])
def test_a_name_is_a_text(name):
    with pytest.raises(InvalidError):
        from_json(name, Name, "name")


@pytest.mark.parametrize("name", ["a", "test", "anna.b-c_1", "x" * 32])
def test_a_username_that_people_give_is_taken(name):
    assert from_json(name, Username, "username") == name


@pytest.mark.parametrize(
    "name", ["", "x" * 33, "Anna", "1a", "-a", ".a", "a b", "a/b", "a\n", "ä", "root\0", "a:b"]
)
def test_a_username_that_would_cause_trouble_is_refused(name):
    with pytest.raises(InvalidError, match="username must"):
        from_json(name, Username, "username")
