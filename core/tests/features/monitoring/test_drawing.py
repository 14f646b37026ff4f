"""How charts are drawn, and which lines."""

import pytest

from conpaas import svg
from conpaas.features.monitoring.drawing import draw, select, short


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.1234, "0.123"), (12.34, "12.3"), (99.96, "100"), (999.9, "1000"),
     (1234.6, "1235"), (12345.0, "12.35 k"), (1.5e6, "1.5 M"), (2.5e9, "2.5 G")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert short(value) == text


def test_of_many_lines_the_highest_are_drawn_in_their_order():
    lines = [(f"node-{n}", (float(n % 7), None)) for n in range(20)]
    drawn = select(lines)
    assert len(drawn) == svg.COLOURS
    assert [name for name, _ in drawn] == sorted(
        (name for name, _ in drawn), key=lambda name: int(name[5:])
    )
    assert {values[0] for _, values in drawn} == {4.0, 5.0, 6.0}


@pytest.mark.parametrize(
    ("highest", "marks"),
    [(4, [0, 1, 2, 3, 4]), (100, [0, 20, 40, 60, 80, 100]), (0.037, [0, 0.01, 0.02, 0.03])],
)
def test_an_axis_has_round_numbers(highest, marks):
    assert svg.steps(highest) == marks


def test_what_is_drawn_is_escaped():
    text = draw((("<b>", (1.0, 2.0)),), 10, 1.0, 'a "label" & <more>')
    assert "<b>" not in text
    assert "&lt;more&gt;" in text
