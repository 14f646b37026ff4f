"""The charts on the page of a service."""

import re

import pytest
from browsing import Browser, session_of
from looking import frontend_of


@pytest.fixture
def page(measured, cluster):
    """Return the section of the charts, as it is now."""
    browser = Browser(frontend_of(cluster))
    browser.cookies["__Host-conpaas"] = session_of(cluster)

    def look():
        shown = browser.get(f"/applications/{measured.aid}/services/1")
        assert shown.status == 200
        (section,) = re.findall(
            r'<section id="panel-monitoring-1".*?</section>',
            shown.content.decode(),
            flags=re.DOTALL,
        )
        return section

    return look


def curves(section):
    return re.findall(r'<path d="([^"]*)" class="curve"', section)


def test_before_the_first_figures_the_page_says_when_they_come(page):
    section = page()
    assert "Figures appear a few seconds after the start." in section
    assert "<svg" not in section


def test_charts_have_lines_units_legends_and_a_table(measured, page):
    measured.sample(0, 0)
    measured.sample(50, 50, times=10)
    section = page()
    assert re.findall(r"<h3>(.*?)</h3>", section) == [
        'Hits <span class="quiet">per second</span>',
        'Load <span class="quiet">tasks</span>',
        'Processor <span class="quiet">%</span>',
        'Memory <span class="quiet">MB</span>',
    ]
    assert section.count("<svg") == 4
    assert len(curves(section)) >= 7, "one of hits, and one for each node in the others"
    assert ">now</text>" in section
    assert ">-8 min</text>" in section
    assert '<td data-label="Line">node-3</td>' in section
    assert 'aria-label="Hits in per second, the last 10 minutes; now: Hits ' in section


def test_nothing_in_a_chart_has_a_style_or_a_script_of_its_own(measured, page):
    measured.sample(0, 0, times=4)
    section = page()
    assert not re.search(r"<(style|script|defs)|style=|onload", section)
    assert "color-0" in section


def test_a_gap_is_a_gap(measured, cluster, page):
    measured.sample(0, 0, times=8)
    before = len(curves(page()))
    cluster.cut(measured.machine("node-3"))
    measured.sample(times=8)
    assert '<span class="mono">node-3</span>: no figures since' in page()
    cluster.cut(measured.machine("node-3"), silent=False)
    measured.sample(times=8)
    section = page()
    assert "no figures" not in section
    assert len(curves(section)) > before, "the lines of node-3 have two parts"


def test_a_stopped_service_has_no_charts(measured, cluster):
    measured.sample(times=3)
    cluster.run(measured.service.stop())
    browser = Browser(frontend_of(cluster))
    browser.cookies["__Host-conpaas"] = session_of(cluster)
    assert (
        "panel-monitoring"
        not in browser.get(f"/applications/{measured.aid}/services/1").content.decode()
    )


def test_the_operations_are_offered_by_the_panel_only(measured, cluster, page):
    measured.sample(times=3)
    assert "operations/get_metrics?minutes=60" in page()
    browser = Browser(frontend_of(cluster))
    browser.cookies["__Host-conpaas"] = session_of(cluster)
    text = browser.get(f"/applications/{measured.aid}/services/1").content.decode()
    assert text.count("operations/get_metrics") == 1
