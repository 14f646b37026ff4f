"""What a manager keeps of figures: an hour, in memory and in a file that outlives it."""

import itertools
import sqlite3
from array import array

import pytest

from conpaas import config
from conpaas.errors import InvalidError
from conpaas.features.monitoring.samples import COARSE, FINE, KEPT, Sample, Samples
from conpaas.manager.config import MonitoringSection

LOAD = (("load", ()),)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples.db"


def add(samples, time, node="node-1", value=1.0, service=1, layout=LOAD):
    figures = array("d", [value] * len(layout))
    samples.add(time, [Sample(node, service, "node", samples.layout(layout), figures)])


def told(samples, service=1):
    return [
        (one.time, {node: list(s.values) for node, s in one.samples.items()})
        for one in samples.rounds(service, 0.0)
    ]


def test_what_was_kept_is_there_again_after_the_process_was_killed(path):
    samples = Samples(path)
    add(samples, 100.0, value=1.5)
    add(samples, 105.0, value=2.5)
    # Not closed: the process has no time for that.
    assert told(Samples(path)) == [(100.0, {"node-1": [1.5]}), (105.0, {"node-1": [2.5]})]


def test_figures_go_on_after_a_restart(path):
    add(Samples(path), 100.0)
    again = Samples(path)
    add(again, 105.0)
    assert [time for time, _ in told(again)] == [100.0, 105.0]
    assert [one.number for one in again.rounds(1, 0.0)] == [1, 2]


def test_older_rounds_are_kept_coarser_and_none_for_ever(path):
    samples = Samples(path)
    for number in range(1000):
        add(samples, number * 5.0)
    times = [time for time, _ in told(samples)]
    now = 999 * 5.0
    assert times[0] >= now - KEPT
    fine = [time for time in times if time >= now - FINE]
    assert fine == [now - FINE + n * 5.0 for n in range(len(fine))]
    coarse = [b - a for a, b in itertools.pairwise(times) if b < now - FINE]
    assert set(coarse) == {COARSE}
    assert told(Samples(path)) == told(samples), "the file has the same"


def test_the_file_stays_small(path):
    samples = Samples(path)
    layout = tuple((f"metric_{number}", ()) for number in range(40))
    for number in range(1500):
        add(samples, number * 5.0, layout=layout)
    samples.close()
    # 230 rounds of 40 numbers of 8 bytes; the rest is pages of SQLite, which are half empty.
    assert path.stat().st_size < 2 * 230 * 40 * 8


def test_a_clock_that_is_put_back_loses_only_the_future(path):
    samples = Samples(path)
    for time in (100.0, 105.0, 300.0, 110.0):
        add(samples, time)
    assert [time for time, _ in told(samples)] == [100.0, 105.0, 110.0]


def test_a_service_that_is_gone_is_forgotten(path):
    samples = Samples(path)
    add(samples, 100.0, service=1)
    add(samples, 105.0, service=2, node="node-2")
    samples.forget(1)
    assert told(samples, 1) == [(100.0, {}), (105.0, {})]
    assert told(Samples(path), 2) == [(100.0, {}), (105.0, {"node-2": [1.0]})]
    assert told(Samples(path), 1) == [(100.0, {}), (105.0, {})]


def test_layouts_that_nothing_has_any_more_are_forgotten(path):
    samples = Samples(path)
    for number in range(1000):
        add(samples, number * 5.0, layout=((f"metric_{number}", ()),))
    (count,) = sqlite3.connect(path).execute("SELECT COUNT(*) FROM layout").fetchone()
    assert count < 400


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_broken_file_is_begun_anew(path, content):
    path.write_bytes(content)
    samples = Samples(path)
    add(samples, 100.0)
    assert [time for time, _ in told(Samples(path))] == [100.0]


def test_a_full_disk_costs_only_the_file(path):
    samples = Samples(path)
    add(samples, 100.0)
    samples._records.execute("PRAGMA max_page_count = 1")
    big = tuple((f"metric_{number}_{'x' * 100}", ()) for number in range(1000))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        add(samples, 105.0, layout=big)
    assert [time for time, _ in told(samples)] == [100.0, 105.0]
    samples._records.execute("PRAGMA max_page_count = 100000")
    add(samples, 110.0, layout=big)
    assert [time for time, _ in told(Samples(path))] == [100.0, 110.0]


@pytest.mark.parametrize("every", [0, -5, 0.001, 3600])
def test_how_often_nodes_are_asked_is_bounded(every):
    with pytest.raises(InvalidError, match="every"):
        config.section(MonitoringSection, {"every": every}, "director.toml")
