"""From agents to rows and series: what users see of what is measured."""

import logging

import pytest

from conpaas.errors import InvalidError, UnreachableError


def test_figures_of_all_nodes_become_rows(measured):
    measured.sample(0, 0)
    measured.sample(10, 20)
    row = measured.rows("Hits")["Hits"]
    assert row.now == pytest.approx(6.0, rel=0.05)
    assert row.unit == "per second"
    assert set(measured.rows("Processor")) == set(measured.rows("Memory")) == {"node-2", "node-3"}
    assert all(row.now > 0 for row in measured.rows("Memory").values())


def test_charts_stand_in_the_order_of_the_manager(measured):
    measured.sample(0, 0, times=2)
    charts = [row.chart for row in measured.service.get_metrics()]
    assert list(dict.fromkeys(charts)) == ["Hits", "Load", "Processor", "Memory"]


def test_average_and_highest_are_of_the_minutes_asked_for(measured):
    measured.sample(0)
    for more in (0, 100, 0, 0):
        measured.sample(more)
    row = measured.rows("Hits", minutes=1)["Hits"]
    assert row.highest > row.average > row.now == 0.0


def test_before_the_first_round_there_is_nothing_and_no_zero(measured):
    assert measured.service.get_metrics() == []
    measured.sample(5, 5)
    assert set(measured.rows("Load")) == {"node-2", "node-3"}
    assert measured.rows("Hits") == {}, "a rate takes two rounds"


def test_series_have_a_row_for_each_point(measured):
    measured.sample(0, 0)
    measured.sample(10, 0, times=5)
    points = [p for p in measured.service.get_series(minutes=1) if p.chart == "Hits"]
    assert len(points) == 12
    assert [p.time for p in points] == sorted(p.time for p in points)
    known = [p.value for p in points if p.value is not None]
    assert known == pytest.approx([2.0] * len(known), rel=0.1)
    assert points[0].value is None, "nothing is known of the time before"


@pytest.mark.parametrize("minutes", [0, 61, -1])
def test_minutes_are_those_that_are_kept(measured, minutes):
    with pytest.raises(InvalidError, match="minutes"):
        measured.service.get_metrics(minutes=minutes)


def test_a_node_that_vanishes_leaves_a_gap_and_is_told_of(measured, cluster):
    for agent in measured.agents:
        agent.load = 7.0
    measured.sample(times=2)
    cluster.cut(measured.machine("node-3"))
    measured.sample(times=4)
    rows = measured.rows("Load", minutes=1)
    assert rows["node-2"].now == 7.0
    assert rows["node-3"].now is None
    assert rows["node-3"].average == 7.0, "zeros would show"
    (silent,) = measured.service.get_charts(minutes=1).silent
    assert silent.node == "node-3"
    cluster.cut(measured.machine("node-3"), silent=False)
    measured.sample()
    assert measured.service.get_charts(minutes=1).silent == []
    assert measured.rows("Load", minutes=1)["node-3"].now == 7.0


def test_a_manager_that_is_killed_still_has_its_history(measured, cluster):
    measured.sample(0, 0)
    measured.sample(10, 10, times=3)
    before = measured.service.get_series(minutes=1)
    cluster.restart(measured.manager_machine)
    assert measured.service.get_series(minutes=1) == before
    measured.sample(10, 10)
    assert measured.rows("Hits", minutes=1)["Hits"].now == pytest.approx(4.0, rel=0.1)


def test_an_agent_that_begins_anew_is_no_negative_rate(measured, cluster):
    measured.sample(0, 0)
    measured.sample(50, 50)
    cluster.restart(measured.machine("node-2"))
    measured.sample(20, 20)
    known = [p.value for p in measured.service.get_series(minutes=1) if p.chart == "Hits"]
    known = [value for value in known if value is not None]
    assert known[0] == pytest.approx(20.0, rel=0.1)
    assert known[-1] == pytest.approx(8.0, rel=0.1)
    assert min(known) > 0


def test_a_service_that_is_stopped_is_not_asked(measured, cluster):
    measured.sample(times=2)
    cluster.run(measured.service.stop())
    measured.sample()
    assert measured.service.get_charts().silent == []
    assert cluster.manager(measured.aid).sampler._latest == []


def test_a_removed_service_leaves_no_figures(measured, cluster):
    from conpaas.api import Services

    measured.sample(times=2)
    cluster.run(cluster.api(Services).remove(application=measured.aid, service=1))
    assert all(not r.samples for r in cluster.manager(measured.aid).samples.rounds(1, 0.0))


def test_what_is_measured_before_a_mistake_counts(measured, caplog):
    measured.agents[0].broken = "no such counter"
    with caplog.at_level(logging.WARNING):
        measured.sample(0, 0)
        measured.sample(10, 0)
    assert measured.rows("Hits")["Hits"].now == pytest.approx(2.0, rel=0.05)
    assert set(measured.rows("Load")) == {"node-3"}
    told = [r for r in caplog.records if "no such counter" in r.getMessage()]
    assert len(told) == 1, "it is told once, not every few seconds"


def test_charts_that_cannot_be_told_cost_only_themselves(measured, cluster, caplog):
    manager = cluster.manager(measured.aid).host(1).manager
    manager.broken = True
    measured.sample(times=2)
    manager.broken = False
    assert set(measured.rows("Memory")) == {"node-2", "node-3"}
    assert measured.rows("Hits") == {}
    assert "no charts today" in caplog.text


def test_a_node_that_answers_nonsense_is_as_one_that_does_not_answer(measured, cluster):
    measured.sample(times=2)
    host = cluster.agents(measured.aid, 1)[0]
    sampler = cluster.manager(measured.aid).sampler

    class Lying:
        def __init__(self, ways):
            self.ways = ways

        def metrics(self, nodes):
            _, other = self.ways.metrics(nodes)
            return [b'test_hits_total{code="ok 12', other]

    sampler._ways = Lying(sampler._ways)
    measured.sample(times=4)
    silent = measured.service.get_charts(minutes=1).silent
    assert [one.node for one in silent] == [host.status.node]


def test_nobody_waits_for_a_manager_that_is_away(measured, cluster):
    cluster.cut(measured.manager_machine)
    with pytest.raises(UnreachableError):
        measured.service.get_metrics()
