"""What becomes of samples: rates, gauges, ratios and quantiles, as Prometheus would have them."""

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas.features.monitoring.charts import Gauge, Quantile, Rate, Ratio
from conpaas.features.monitoring.rates import Figures, Grid, quantile
from conpaas.features.monitoring.samples import Round, Sample

EVERY = 5.0


def rounds(*said, every=EVERY, begin=1000.0):
    """Return rounds in which nodes said ``{node: {(name, label=value…): number}}``."""
    layouts = {}
    found = []
    for number, nodes in enumerate(said):
        samples = {}
        for node, figures in nodes.items():
            series = tuple(
                (key, ()) if isinstance(key, str) else (key[0], tuple(sorted(key[1:])))
                for key in figures
            )
            layout = layouts.setdefault(series, series)
            values = array("d", figures.values())
            samples[node] = Sample(node, 1, node.rstrip("0123456789-"), layout, values)
        found.append(Round(number, begin + number * every, samples))
    return found


def line(what, *said, every=EVERY, begin=1000.0):
    """Return a line over a grid that has a span between each two rounds."""
    grid = Grid(begin, every, len(said) - 1)
    return Figures(rounds(*said, every=every, begin=begin), grid, every).line(what)


def hits(**by_code):
    return {("hits_total", ("code", code)): value for code, value in by_code.items()}


def test_a_rate_is_the_increase_each_second():
    assert line(Rate("hits_total"), {"a": {"hits_total": 3}}, {"a": {"hits_total": 13}}) == {
        "": [2.0]
    }


def test_a_counter_that_has_fallen_began_anew_at_0():
    said = [{"a": {"hits_total": value}} for value in (100, 110, 5, 15)]
    assert line(Rate("hits_total"), *said) == {"": [2.0, 1.0, 2.0]}


def test_a_node_that_did_not_answer_leaves_a_gap_and_no_zero():
    said = [{"a": {"hits_total": 0}}, {}, {"a": {"hits_total": 50}}, {"a": {"hits_total": 60}}]
    assert line(Rate("hits_total"), *said) == {"": [None, None, 2.0]}


def test_rates_of_nodes_are_added_up_over_those_that_are_there():
    said = [
        {"a": {"hits_total": 0}, "b": {"hits_total": 0}},
        {"a": {"hits_total": 5}, "b": {"hits_total": 10}},
        {"a": {"hits_total": 10}},
    ]
    assert line(Rate("hits_total"), *said) == {"": [3.0, 1.0]}
    assert line(Rate("hits_total", by="node"), *said) == {"a": [1.0, 1.0], "b": [2.0, None]}


def test_a_line_for_each_value_of_a_label_and_for_each_role():
    said = [
        {"web-1": hits(ok=0, bad=0), "web-2": hits(ok=0, bad=0)},
        {"web-1": hits(ok=10, bad=5), "web-2": hits(ok=20, bad=0)},
    ]
    assert line(Rate("hits_total", by="code"), *said) == {"ok": [6.0], "bad": [1.0]}
    assert line(Rate("hits_total", by="role", where={"code": "ok"}), *said) == {"web": [6.0]}


def test_a_label_that_is_new_beside_others_has_counted_from_0():
    said = [{"a": hits(ok=7)}, {"a": hits(ok=7, bad=10)}]
    assert line(Rate("hits_total", by="code"), *said) == {"ok": [0.0], "bad": [2.0]}


def test_of_a_counter_that_was_not_there_before_nothing_is_known_yet():
    said = [{"a": {"other": 1}}, {"a": {"other": 1, "hits_total": 9000}}]
    assert line(Rate("hits_total"), *said) == {}


def test_what_the_manager_slept_through_is_a_gap():
    kept = rounds({"a": {"hits_total": 0}}, {"a": {"hits_total": 9}}, every=600.0)
    assert Figures(kept, Grid(1000.0, 300.0, 2), EVERY).line(Rate("hits_total")) == {}


@pytest.mark.parametrize(("of", "value"), [("sum", 5.0), ("mean", 2.5), ("highest", 4.0)])
def test_a_gauge_of_several_nodes(of, value):
    said = [{}, {"a": {"load": 1.0}, "b": {"load": 4.0}}]
    assert line(Gauge("load", of=of), *said) == {"": [value]}


def test_a_gauge_is_the_mean_of_a_span():
    said = [{"a": {"load": value}} for value in (0, 2, 4)]
    kept = rounds(*said)
    assert Figures(kept, Grid(1000.0, 10.0, 1), EVERY).line(Gauge("load")) == {"": [3.0]}


def test_a_ratio_is_of_the_same_node_or_of_the_whole():
    said = [
        {"a": {"cpu_total": 0, "cpus": 2}, "b": {"cpu_total": 0, "cpus": 1}},
        {"a": {"cpu_total": 5, "cpus": 2}, "b": {"cpu_total": 5, "cpus": 1}},
    ]
    by_node = Ratio(Rate("cpu_total", by="node"), Gauge("cpus", by="node"), times=100)
    assert line(by_node, *said) == {"a": [50.0], "b": [100.0]}
    whole = Ratio(Rate("cpu_total", by="node"), Gauge("cpus"))
    assert line(whole, *said) == {"a": [1 / 3], "b": [1 / 3]}


def test_a_ratio_with_nothing_below_it_is_not_known():
    said = [{"a": hits(ok=1, bad=1)}, {"a": hits(ok=1, bad=1)}]
    errors = Ratio(Rate("hits_total", where={"code": "bad"}), Rate("hits_total"))
    assert line(errors, *said) == {"": [None]}


def buckets(*counts):
    bounds = ("0.1", "0.5", "+Inf")
    return {("took_bucket", ("le", b)): count for b, count in zip(bounds, counts, strict=True)}


def test_a_quantile_is_of_what_was_observed_in_the_span_on_all_nodes():
    said = [
        {"a": buckets(1000, 1000, 1000), "b": buckets(0, 0, 0)},
        {"a": buckets(1010, 1010, 1010), "b": buckets(0, 10, 10)},
    ]
    assert line(Quantile("took", q=0.5), *said) == {"": [pytest.approx(0.1)]}
    assert line(Quantile("took", q=0.75), *said) == {"": [pytest.approx(0.3)]}
    assert line(Quantile("took", q=0.5, by="node"), *said)["a"] == [pytest.approx(0.05)]


def test_what_is_no_bucket_is_left_out():
    strange = {("took_bucket", ("le", "much")): 5, **buckets(1, 1, 1)}
    more = {("took_bucket", ("le", "much")): 9, **buckets(2, 2, 2)}
    assert line(Quantile("took", q=1.0), {"a": strange}, {"a": more}) == {"": [pytest.approx(0.1)]}


def test_quantiles_where_little_is_known():
    assert quantile(0.5, [(0.1, 0.0), (math.inf, 0.0)]) is None, "nothing was observed"
    assert quantile(0.5, [(0.1, 4.0)]) is None, "the last bucket is missing"
    assert quantile(0.9, [(0.1, 0.0), (math.inf, 4.0)]) == 0.1, "beyond the highest bound"
    assert quantile(0.5, [(math.inf, 4.0)]) is None


# -- properties ---------------------------------------------------------------------------

counters = st.lists(
    st.tuples(st.integers(0, 1000), st.booleans()), min_size=2, max_size=40
)  #: increases, and whether the process began anew before each


@given(counters, st.sampled_from([5.0, 7.0, 10.0, 23.0]))
def test_rates_add_up_to_what_was_counted(steps, step):
    value, said, increases = 0, [], []
    for increase, anew in steps:
        before = value
        value = increase if anew else value + increase
        said.append({"a": {"hits_total": value}})
        # A restart that ends above where it was cannot be seen, in Prometheus neither.
        increases.append(value - before if value >= before else value)
    kept = rounds(*said)
    cells = math.ceil((len(said) - 1) * EVERY / step)
    found = Figures(kept, Grid(1000.0, step, cells), EVERY).line(Rate("hits_total"))[""]
    end = kept[-1].time
    covered = [min(step, end - (1000.0 + n * step)) for n in range(cells)]
    counted = sum(v * c for v, c in zip(found, covered, strict=True))
    assert counted == pytest.approx(sum(increases[1:]), abs=1e-6)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=8),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_a_quantile_lies_where_so_many_were_observed(counts, first, second):
    bounds = [*range(1, len(counts)), math.inf]
    heights, total = [], 0
    for count in counts:
        total += count
        heights.append(total)
    pairs = list(zip(bounds, map(float, heights), strict=True))
    low, high = (quantile(q, pairs) for q in sorted((first, second)))
    if total == 0 or len(counts) == 1:
        assert low is None
        return
    assert 0.0 <= low <= high <= len(counts) - 1
    below = heights[min(int(high), len(heights) - 1) - 1] if high >= 1 else 0
    assert below <= max(first, second) * total + 1e-6 or high == len(counts) - 1


@given(st.floats(0, 100), st.floats(0, 30), st.sampled_from([1.0, 5.0, 12.5]), st.integers(1, 9))
def test_a_grid_splits_a_time_without_loss(begin, length, step, count):
    grid = Grid(20.0, step, count)
    parts = grid.parts(begin, begin + length)
    inside = max(0.0, min(begin + length, 20.0 + step * count) - max(begin, 20.0))
    assert sum(seconds for _, seconds in parts) == pytest.approx(inside, abs=1e-6)
    assert all(0 <= cell < count and 0 < seconds <= step + 1e-9 for cell, seconds in parts)
