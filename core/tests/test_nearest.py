"""Who misspells a name is told the nearest."""

from hypothesis import given
from hypothesis import strategies as st

from conpaas.nearest import did_you_mean


def test_the_nearest_is_told():
    assert did_you_mean("helloword", ["generic", "helloworld"]) == "; did you mean 'helloworld'?"


def test_small_and_capital_letters_are_near():
    assert did_you_mean("FIRST APP", ["First app"]) == "; did you mean 'First app'?"


def test_when_nothing_is_near_all_are_told_sorted():
    assert did_you_mean("zzz", ["php", "java"]) == "; there are: java, php"


def test_many_are_not_listed():
    assert did_you_mean("zzz", [f"application {n}" for n in range(13)]) == ""


def test_nothing_is_told_where_there_is_nothing():
    assert did_you_mean("x", []) == ""


@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=15))
def test_any_text_gets_an_answer(given_name, known):
    told = did_you_mean(given_name, known)
    assert told == "" or told.startswith("; ")
