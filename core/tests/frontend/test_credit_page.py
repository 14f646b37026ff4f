"""The page of credit, which a feature brings: its chart, its history."""

import re
import time
import xml.etree.ElementTree as ET

import pytest

from conpaas.api import Users
from conpaas.director.models import User
from conpaas.features import credits
from conpaas.features.credits.api import CreditUse
from conpaas.features.credits.chart import COLOURS, OTHERS, chart, series
from conpaas.features.credits.director.tables import CreditAccount, CreditEntry
from conpaas.plugins import Plugins

PATH = "/plugins/credits/use"
EVIL = '"><script>zqx()</script>'
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


@pytest.fixture
def plugins(plugins):
    """The simple service type, and credits."""
    return Plugins(simple=plugins._manager.get_plugin("simple"), credits=credits)


def charge(count, name="shop", user=1, aid=1):
    """Write hours into the ledger."""
    for hour in range(count):
        CreditEntry.create(
            user=user, time=time.time() - 60, amount=-1, kind="charge", machine=aid * 1000,
            hour=hour, application=aid, application_name=name, service=1,
        )  # fmt: skip


def test_the_credit_in_the_header_leads_to_it(browser):
    assert PATH in browser.get("/").links


def test_it_shows_what_is_left_and_what_was_used(browser):
    before = browser.get(PATH)
    assert "No machine ran." in before.text
    charge(3)
    page = browser.get(PATH)
    assert "Used in 30 days: 3 credits" in page.text
    assert page.all("svg", role="img")
    assert page.text.count("shop, service 1") == 3


def test_its_chart_is_what_a_strict_policy_lets_in(browser):
    charge(2, EVIL)
    page = browser.get(PATH)
    assert not page.all("style")
    assert all(a.get("src", "").startswith("/static/") for a in page.all("script"))
    assert not [a for _, a in page.elements if "style" in a or any(k[:2] == "on" for k in a)]
    assert EVIL in " ".join(page.texts)
    assert "zqx()</script>" not in page.content.decode()


def test_who_is_not_charged_has_unlimited_left_in_each_line_of_the_history(browser):
    User.update(admin=True).execute()
    CreditAccount.update(unlimited=True).where(CreditAccount.user == 1).execute()
    CreditEntry.create(
        user=1, time=time.time(), amount=0, kind="charge", machine=1, hour=0, application=1,
        application_name="shop",
    )  # fmt: skip
    left = re.findall(r'data-label="Left"[^>]*>([^<]*)<', browser.get(PATH).content.decode())
    assert left[0] == "unlimited"


def test_its_history_has_pages(browser):
    charge(30)
    page = browser.get(PATH)
    (older,) = [link for link in page.links if "before=" in link]
    second = browser.get(f"{PATH}{older.partition('#')[0]}")
    assert second.text.count("charged") == 30 - page.text.count("charged")
    assert second.status == 200


@pytest.mark.parametrize("query", ["days=0", "days=x", "days=9999", "before=x"])
def test_a_query_that_makes_no_sense_is_told(browser, query):
    page = browser.get(f"{PATH}?{query}")
    assert page.status == 400
    assert query.partition("=")[0] in page.text


def test_administrators_see_that_of_others_and_nobody_else_does(browser, cluster):
    User.update(admin=True).execute()
    cluster.api(Users).create(username="eve", password="a long password", credit=20)
    charge(2, "eves own", user=2)
    assert "eves own" in browser.get(f"{PATH}?user=eve").text
    assert "eves own" not in browser.get(PATH).text
    User.update(admin=False).execute()
    assert browser.get(f"{PATH}?user=eve").status == 403


def test_the_bars_say_what_they_are():
    uses = [CreditUse(DAYS[2], 1, "shop", 3), CreditUse(DAYS[0], 2, "blog & co", 1)]
    svg = ET.fromstring(chart(series(uses, DAYS), DAYS))
    titles = [one.text for one in svg.iter() if one.tag.endswith("title")]
    assert sorted(titles) == ["2026-01-01, blog & co: 1", "2026-01-03, shop: 3"]
    bars = [one for one in svg.iter() if one.get("class") == "bar" and one.tag.endswith("rect")]
    assert len(bars) == 2
    tall, low = sorted((float(bar.get("height")) for bar in bars), reverse=True)
    assert tall == pytest.approx(3 * low)


def test_many_applications_share_the_last_colour():
    uses = [CreditUse(DAYS[0], aid, f"app {aid}", 20 - aid) for aid in range(1, 11)]
    found = series(uses, DAYS)
    assert len(found) == COLOURS
    assert found[0] == ("app 1", [19, 0, 0])
    assert found[-1] == (OTHERS, [sum(20 - aid for aid in range(6, 11)), 0, 0])


def test_exactly_as_many_as_colours_all_keep_their_own():
    uses = [CreditUse(DAYS[0], aid, f"app {aid}", 1) for aid in range(1, COLOURS + 1)]
    assert [name for name, _ in series(uses, DAYS)] == [
        f"app {aid}" for aid in range(1, COLOURS + 1)
    ]
