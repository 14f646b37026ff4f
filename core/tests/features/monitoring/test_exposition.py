"""What nodes answer is read with care: their owners are root there."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from conpaas.errors import AgentError
from conpaas.features.monitoring.exposition import LONGEST, MOST, Reader, merged, read
from conpaas.metrics import Collected

NAMES = {"hits_total", "took_bucket", "load"}


def text(*families):
    registry = CollectorRegistry()
    registry.register(Collected(lambda: families))
    return generate_latest(registry)


def test_a_reader_finds_what_the_library_wrote():
    hits = CounterMetricFamily("hits", "Hits.", labels=["code", "path"])
    hits.add_metric(["2xx", 'a "quoted" \\ path\nof two lines'], 12345678.5)
    took = HistogramMetricFamily("took", "T.", buckets=[("0.1", 3), ("+Inf", 4)], sum_value=1.0)
    found = Reader().values(text(hits, took), NAMES)
    assert found == {
        (
            "hits_total",
            (("code", "2xx"), ("path", 'a "quoted" \\ path\nof two lines')),
        ): 12345678.5,
        ("took_bucket", (("le", "0.1"),)): 3.0,
        ("took_bucket", (("le", "+Inf"),)): 4.0,
    }


def test_a_reader_says_the_same_the_second_time():
    reader = Reader()
    first = reader.values(b'load{x="a b"} 1\nother 5\n', NAMES)
    again = reader.values(b'load{x="a b"} 2\nother 6\n', NAMES)
    assert list(first) == list(again) == [("load", (("x", "a b"),))]
    assert list(again.values()) == [2.0]


def test_what_is_no_number_is_left_out():
    said = b'load{n="1"} NaN\nload{n="2"} +Inf\nload{n="3"} 1e3\n'
    assert Reader().values(said, NAMES) == {("load", (("n", "3"),)): 1000.0}


@pytest.mark.parametrize(
    "said",
    [b"load", b"load one", b'load{x="a} 1', b"<html>no metrics</html>", b"\xff\xfe 1",
     b"load 1 1700000000000", b'{"json": 1}'],
)  # fmt: skip
def test_nonsense_is_said_to_be(said):
    with pytest.raises(AgentError, match="Prometheus' format"):
        Reader().values(said + b"\n", NAMES)


@pytest.mark.parametrize("ask", [read, lambda said: Reader().values(said, NAMES)])
def test_too_much_is_refused(ask):
    with pytest.raises(AgentError, match="more than"):
        ask(b"#" * (LONGEST + 1))


def test_no_more_samples_are_read_than_are_allowed():
    said = b"".join(b'load{n="%d"} 1\n' % number for number in range(2 * MOST))
    assert len(Reader().values(said, NAMES)) == MOST
    assert sum(len(family.samples) for family in read(said)) == MOST


def test_labels_without_end_are_left_out():
    said = b'load{n="%s"} 1\nload{n="b"} 2\n' % (b"x" * 1000)
    assert Reader().values(said, NAMES) == {("load", (("n", "b"),)): 2.0}
    assert [len(family.samples) for family in read(said)] == [1]


def test_a_reader_does_not_remember_without_end():
    reader = Reader()
    for round_ in range(60):
        said = b"".join(b'load{n="%d-%d"} 1\n' % (round_, number) for number in range(MOST))
        reader.values(said, NAMES)
    assert len(reader._known) <= 50_000


def test_a_node_cannot_speak_for_another():
    mine = {"service": "1", "node": "node-2", "role": "web"}
    said = read(b'load{node="node-9",service="7"} 4\n')
    (family,) = merged([(mine, said)])
    assert [sample.labels for sample in family.samples] == [mine]


def test_what_two_nodes_say_is_different_things_is_told_once():
    first = read(b"# TYPE load gauge\nload 1\n")
    second = read(b"# TYPE load summary\nload_count 1\n")
    (family,) = merged([({"node": "a"}, first), ({"node": "b"}, second)])
    assert [sample.labels["node"] for sample in family.samples] == ["a"]
    assert family.type == "gauge"
